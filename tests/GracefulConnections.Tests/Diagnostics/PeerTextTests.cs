using System.Net;
using System.Net.Sockets;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Tests.Diagnostics;

public class PeerTextTests
{
    [Theory]
    [InlineData("127.0.0.1:5000", "127.0.0.1:5000")]
    [InlineData("/run/caf\u00E9 \U0001F600.sock", "/run/caf\u00E9 \U0001F600.sock")]
    [InlineData("/a\nwarn: forged", "/a\\u000Awarn: forged")]
    [InlineData("/a\r\tb\0", "/a\\u000D\\u0009b\\u0000")]
    [InlineData("/\u001B[31mred", "/\\u001B[31mred")]
    [InlineData("/\u2028\u202Eevil\u0085", "/\\u2028\\u202Eevil\\u0085")]
    [InlineData("/a\\u000A\"", "/a\\u005Cu000A\\u0022")]
    public void Spell_AnyText_CannotEndALine(string text, string expected) =>
        Assert.Equal(expected, PeerText.Spell(text));

    [Fact]
    public void Spell_LongText_IsCut() =>
        Assert.Equal(new string('a', 128) + "...", PeerText.Spell(new string('a', 129)));

    [Fact]
    public void Spell_EndPoint_IsItsText()
    {
        Assert.Equal("no address", PeerText.Spell((EndPoint?)null));
        Assert.Equal("[::1]:7", PeerText.Spell(new IPEndPoint(IPAddress.IPv6Loopback, 7)));
        Assert.Equal("/a\\u000Ab", PeerText.Spell(new UnixDomainSocketEndPoint("/a\nb")));
    }
}
