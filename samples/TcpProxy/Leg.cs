using System.IO.Pipelines;
using GracefulConnections;
using Microsoft.AspNetCore.Connections;

namespace TcpProxy;

/// <summary>One of a relay's two connections.</summary>
internal sealed class Leg(ConnectionContext connection)
{
    private volatile bool _finSent;

    public PipeReader Input => connection.Transport.Input;

    public PipeWriter Output => connection.Transport.Output;

    public IGracefulCloseFeature Close { get; } = connection.Features.Get<IGracefulCloseFeature>()!;

    /// <summary>Gets a token that is cancelled when the connection is over: both directions ended, or reset. The peer's FIN alone is not the end.</summary>
    public CancellationToken Over { get; } = connection.ConnectionClosed;

    /// <summary>Gets whether a connection that is over must have been cut off: without our FIN it cannot have ended well.</summary>
    public bool IsCutOff => !_finSent || Close.State == CloseState.Aborted;

    /// <summary>Sends FIN after everything that was relayed. The other direction goes on.</summary>
    public void HalfClose()
    {
        _finSent = true;
        Output.Complete();
    }

    /// <summary>Sends RST, unless the connection is over already.</summary>
    public void Reset()
    {
        if (!Over.IsCancellationRequested)
        {
            connection.Abort(new ConnectionAbortedException("The other leg of the relay was reset."));
        }
    }

    /// <summary>Throws if the peer reset the connection behind bytes that nobody reads at the moment.</summary>
    public void ThrowIfReset()
    {
        if (Input.TryRead(out var read))
        {
            Input.AdvanceTo(read.Buffer.Start);
        }
    }
}
