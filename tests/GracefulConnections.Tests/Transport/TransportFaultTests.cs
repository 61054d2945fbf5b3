using System.Net.Sockets;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Transport;

public class TransportFaultTests
{
    public static TheoryData<Exception, bool> Faults => new()
    {
        { new ConnectionResetException("reset"), true },
        { new IOException(), true },
        { new SocketException((int)SocketError.ConnectionReset), true },
        { new SocketException((int)SocketError.OperationAborted), false }, // Closed by this side.
        { new SocketException((int)SocketError.Interrupted), false },
        { new ConnectionAbortedException(), false },
        { new ObjectDisposedException("socket"), false },
        { new InvalidOperationException(), false },
    };

    [Theory]
    [MemberData(nameof(Faults), DisableDiscoveryEnumeration = true)]
    public void IsReset_EveryKind_TellsWhoseDoingItWas(Exception exception, bool expected) => Assert.Equal(expected, TransportFault.IsReset(exception));
}
