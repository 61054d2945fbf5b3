using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;

/// <summary>
/// A server that stops while the process has no descriptor left. It stops a first time with enough of them, because
/// what is loaded late needs some.
/// </summary>
internal static class NoDescriptors
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(1);

    /// <summary>Starts and stops twice.</summary>
    /// <param name="kind">Stock Kestrel, or what is added to the services.</param>
    public static async Task RunAsync(string kind)
    {
        FillPool();
        await RunOnceAsync(kind, takesAll: false);
        await RunOnceAsync(kind, takesAll: true);
        Console.WriteLine("Stopped twice.");
    }

    // The runtime ends a process whose thread pool wants one more thread and gets none. A server that has served has as
    // many as it has cores; on a busy machine the pool would want more, whatever the server does.
    private static void FillPool()
    {
        ThreadPool.GetMinThreads(out var count, out var completionPorts);
        ThreadPool.SetMaxThreads(count, completionPorts);
        var all = new Barrier(count + 1);
        for (var i = 0; i < count; i++)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static all => all.SignalAndWait(), all, preferLocal: false);
        }

        all.SignalAndWait();
    }

    private static async Task RunOnceAsync(string kind, bool takesAll)
    {
        var builder = WebApplication.CreateSlimBuilder();
        ListenOptions? listening = null;
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, endpoint =>
        {
            listening = endpoint;
            if (kind != "Stock")
            {
                endpoint.UseGracefulShutdown();
            }

            endpoint.Run(static connection => connection.Transport.Input.CopyToAsync(connection.Transport.Output));
        }));
        if (kind == "Drain")
        {
            builder.Services.AddGracefulShutdown();
        }
        else if (kind == "Handover")
        {
            builder.Services.AddListenerHandover();
        }
        else
        {
            builder.Services.Configure<HostOptions>(static options => options.ShutdownTimeout = TimeSpan.FromSeconds(1));
        }

        await using var app = builder.Build();
        await app.StartAsync();
        using var peer = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await peer.ConnectAsync(listening!.EndPoint);
        var bytes = new byte[1];
        await peer.SendAsync(bytes);
        await peer.ReceiveAsync(bytes);
        using var isShort = new ManualResetEventSlim();
        using var enough = new ManualResetEventSlim();
        var taker = new Thread(() => TakeAll(isShort, enough));
        if (takesAll)
        {
            taker.Start();
            isShort.Wait();
        }

        app.Lifetime.StopApplication();
        var stopping = app.WaitForShutdownAsync();
        try
        {
            Console.WriteLine($"The peer read {await peer.ReceiveAsync(bytes)} bytes.");
        }
        catch (SocketException exception)
        {
            Console.WriteLine($"The peer got {exception.SocketErrorCode}.");
        }

        peer.Dispose();
        await stopping;
        enough.Set();
        if (takesAll)
        {
            taker.Join();
        }
    }

    // As an accept loop under load does: whatever becomes free is gone at once.
    private static void TakeAll(ManualResetEventSlim isShort, ManualResetEventSlim enough)
    {
        var taken = new List<Socket>();
        do
        {
            try
            {
                taken.Add(new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified));
            }
            catch (SocketException)
            {
                isShort.Set();
                enough.Wait(Look);
            }
        }
        while (!enough.IsSet);
        taken.ForEach(static socket => socket.Dispose());
    }
}
