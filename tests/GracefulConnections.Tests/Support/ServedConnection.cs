using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Support;

/// <summary>A connection in the middleware whose handler is the test: it reads and writes, and says when the handler returns or throws.</summary>
internal sealed class ServedConnection
{
    private readonly TaskCompletionSource _handler = new(); // Continues inline: when Return has returned, the close is under way.

    public ServedConnection(TestEndpoint endpoint, InMemoryConnection peer)
    {
        Peer = peer;
        Running = endpoint.RunAsync(peer, context =>
        {
            Context = context;
            return _handler.Task;
        });
        Feature = peer.Features.Get<IGracefulCloseFeature>()!;
        Input = peer.Transport.Input;
        Output = peer.Transport.Output;
    }

    /// <summary>Gets the connection, to act on it as its peer.</summary>
    public InMemoryConnection Peer { get; }

    /// <summary>Gets the connection as the handler has it; with a drain only once the handler runs.</summary>
    public ConnectionContext? Context { get; private set; }

    /// <summary>Gets what the server awaits.</summary>
    public Task Running { get; }

    public IGracefulCloseFeature Feature { get; }

    public CloseState State => Feature.State;

    public PipeReader Input { get; }

    public PipeWriter Output { get; }

    /// <summary>The handler returns.</summary>
    public void Return()
    {
        // As on the server's threads, where nothing keeps the middleware from going on at once.
        SynchronizationContext.SetSynchronizationContext(null);
        _handler.SetResult();
    }

    /// <summary>The handler throws.</summary>
    public void Throw(Exception exception)
    {
        SynchronizationContext.SetSynchronizationContext(null);
        _handler.SetException(exception);
    }

    /// <summary>Writes without a flush.</summary>
    public void Write(string text)
    {
        var bytes = Encoding.ASCII.GetBytes(text, Output.GetSpan(text.Length));
        Output.Advance(bytes);
    }

    /// <summary>The peer opens its window and reads.</summary>
    public string Unblock()
    {
        Peer.Peer.OpenWindow();
        return Peer.Receive();
    }

    /// <summary>Waits until the server may go on without an exception.</summary>
    public async Task<CloseResult> EndAsync()
    {
        await Running.WithinLimit();
        return await Feature.Closed.WithinLimit();
    }
}
