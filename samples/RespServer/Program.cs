using GracefulConnections;
using Microsoft.AspNetCore.Connections;
using RespServer;
using RespServer.Commands;
using RespServer.Protocol;
using RespServer.Storage;

// Talk to it with any Redis client: redis-cli -p 6380
var builder = WebApplication.CreateSlimBuilder(args);
var errors = new List<string>();
var settings = Settings.Read(builder.Configuration, errors);
if (errors.Count > 0)
{
    errors.ForEach(Console.Error.WriteLine);
    return 1;
}

builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning); // Every probe of /ready would be four lines.
builder.Services.AddSingleton(settings);
builder.Services.AddSingleton(TimeProvider.System);
builder.Services.AddSingleton<KeyValueStore>();
builder.Services.AddSingleton<KeyCommands>();
builder.Services.AddSingleton<ServerCommands>();
builder.Services.AddSingleton<CommandTable>();
builder.Services.AddOptions<GracefulCloseOptions>()
    .BindConfiguration("Close", static binder => binder.ErrorOnUnknownConfiguration = true); // --Close:GoodbyeTimeout 0:00:05
builder.Services.AddOptions<ServerDrainOptions>()
    .BindConfiguration("Drain", static binder => binder.ErrorOnUnknownConfiguration = true); // --Drain:AnnounceDelay 0:00:05
builder.Services.AddGracefulShutdown();
builder.Services.AddHealthChecks().AddDrainCheck();

builder.WebHost.ConfigureKestrel(kestrel =>
{
    kestrel.Limits.MaxConcurrentConnections = Limits.MaxClients;
    kestrel.Listen(settings.Resp, endpoint => endpoint.UseGracefulShutdown().UseConnectionHandler<RespHandler>());
    kestrel.Listen(settings.Http);
});

var app = builder.Build();
app.MapHealthChecks("/ready");
app.Run();
return 0;
