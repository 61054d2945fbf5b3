using System.Net;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>Networks of a test's own.</summary>
internal static class Networks
{
    /// <summary>Makes a network, or skips the test where that is not allowed or a program is missing.</summary>
    public static NetworkNamespace Create()
    {
        Array.ForEach(["ip", "tc"], static program => RequiredProgram.Find(program, "iproute2"));
        RequiredProgram.Find("nft", "nftables");
        try
        {
            return new NetworkNamespace();
        }
        catch (NotSupportedException exception)
        {
            RequiredProgram.SkipOrFail(exception.Message);
            throw;
        }
    }

    /// <summary>Connects a habit's peer.</summary>
    public static HabitPeer ConnectHabit(
        this NetworkNamespace network, EndPoint endPoint, Action<Socket>? configure = null) =>
        new(network.Connect(endPoint, configure));
}
