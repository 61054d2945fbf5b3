using System.Text;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Support;

/// <summary>A handler that waits for the close request, and then for what it says as its goodbye.</summary>
internal sealed class WaitingHandler(string? goodbye) : GracefulConnectionHandler
{
    private readonly List<CloseReason> _goodbyes = [];
    private readonly TaskCompletionSource _sayingGoodbye = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Gets the reasons with which it was told to say goodbye.</summary>
    public IReadOnlyList<CloseReason> Goodbyes => _goodbyes;

    public Task SayingGoodbye => _sayingGoodbye.Task;

    public IGracefulCloseFeature? Feature { get; private set; }

    public CancellationToken CloseRequested { get; private set; }

    protected override async Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested)
    {
        Feature = connection.Features.Get<IGracefulCloseFeature>();
        CloseRequested = closeRequested;
        var requested = new TaskCompletionSource();
        await using var registration = closeRequested.Register(requested.SetResult);
        await requested.Task;
    }

    protected override async ValueTask SayGoodbyeAsync(ConnectionContext connection, CloseReason reason, CancellationToken cancellationToken)
    {
        _goodbyes.Add(reason);
        if (goodbye is not null)
        {
            await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(goodbye), cancellationToken);
            return;
        }

        var cancelled = new TaskCompletionSource();
        await using var registration = cancellationToken.Register(cancelled.SetResult);
        _sayingGoodbye.SetResult();
        await cancelled.Task;
    }
}
