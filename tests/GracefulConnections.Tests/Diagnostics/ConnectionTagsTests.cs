using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using GracefulConnections.Diagnostics;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Diagnostics;

public class ConnectionTagsTests
{
    public static TheoryData<EndPoint?, string> Addresses => new()
    {
        { IPEndPoint.Parse("127.0.0.1:80"), "server.address=127.0.0.1 server.port=80 network.type=ipv4 network.transport=tcp" },
        { IPEndPoint.Parse("[::1]:80"), "server.address=::1 server.port=80 network.type=ipv6 network.transport=tcp" },
        { new UnixDomainSocketEndPoint("/run/a.sock"), "server.address=/run/a.sock network.transport=unix" },
        { new NamedPipeEndPoint("a"), @"server.address=\\.\pipe\a network.transport=pipe" },
        { new DnsEndPoint("host", 80, AddressFamily.InterNetwork), "server.address=InterNetwork/host:80 network.transport=InterNetwork" },
        { null, "" },
    };

    // As KestrelMetrics.InitializeConnectionTags has them in 10.0, in the same order.
    [Theory]
    [MemberData(nameof(Addresses), DisableDiscoveryEnumeration = true)]
    public void Add_EndpointsConnection_TagsAsKestrelDoes(EndPoint? local, string expected) =>
        Assert.Equal(expected, Read(local, isServer: true));

    [Fact]
    public void Add_ConnectionThatAProgramMade_LeavesOutItsAddressAndPort() =>
        Assert.Equal("network.type=ipv4 network.transport=tcp", Read(IPEndPoint.Parse("127.0.0.1:54321"), isServer: false));

    private static string Read(EndPoint? local, bool isServer)
    {
        var tags = default(TagList);
        ConnectionTags.Add(ref tags, local, isServer);
        return string.Join(' ', tags.Select(tag => $"{tag.Key}={tag.Value}"));
    }
}
