using System.Net;

namespace GracefulConnections.Probe.Wire;

/// <summary>The server under test.</summary>
/// <param name="Host">The name or address as the user gave it.</param>
/// <param name="Address">The address that is probed: one, so that all scenarios see the same server.</param>
/// <param name="Port">The port.</param>
internal sealed record Target(string Host, IPAddress Address, int Port)
{
    public IPEndPoint EndPoint => new(Address, Port);

    public bool IsLoopback => IPAddress.IsLoopback(Address);

    public override string ToString() => Host.Contains(':') ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
