using System.Net.Sockets;
using System.Text;

namespace GracefulConnections.Tests.Testing;

/// <summary>The service manager that tests listen as.</summary>
public sealed class FakeNotifySocketTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Receive_MessagesSent_ComeOneByOne(bool isAbstract)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Needs Unix datagram sockets.");
        using var sut = isAbstract ? FakeNotifySocket.CreateAbstract() : new FakeNotifySocket();
        Assert.False(sut.HasMessage);

        Send(sut, "READY=1");
        Send(sut, "STATUS=Drainé.\nSTOPPING=1");

        Assert.True(sut.HasMessage);
        Assert.Equal("READY=1", await sut.ReceiveAsync());
        Assert.Equal("STATUS=Drainé.\nSTOPPING=1", await sut.ReceiveAsync());
        Assert.False(sut.HasMessage);
    }

    [Fact]
    public async Task ReceiveUntil_LastSeen_LeavesTheRest()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Needs Unix datagram sockets.");
        using var sut = new FakeNotifySocket();
        foreach (var message in new[] { "a", "b", "c" })
        {
            Send(sut, message);
        }

        Assert.Equal(["a", "b"], await sut.ReceiveUntilAsync(static message => message == "b"));
        Assert.Equal("c", await sut.ReceiveAsync());
    }

    [Fact]
    public void Dispose_SocketInTheFileSystem_IsGone()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Needs Unix datagram sockets.");
        var sut = new FakeNotifySocket();
        Assert.True(File.Exists(sut.Address));

        sut.Dispose();

        Assert.False(File.Exists(sut.Address));
    }

    private static void Send(FakeNotifySocket to, string message)
    {
        using var service = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        var path = to.Address.StartsWith('@') ? $"\0{to.Address[1..]}" : to.Address;
        service.Connect(new UnixDomainSocketEndPoint(path));
        service.Send(Encoding.UTF8.GetBytes(message));
    }
}
