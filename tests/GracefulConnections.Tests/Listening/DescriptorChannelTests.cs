using System.Net.Sockets;
using System.Runtime.Versioning;
using GracefulConnections.Listening;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Listening;

[UnsupportedOSPlatform("windows")]
public sealed class DescriptorChannelTests : IAsyncDisposable
{
    private const int CloseOnExec = 0x80000; // O_CLOEXEC.

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("graceful-");
    private DescriptorChannel _one = null!;
    private DescriptorChannel _other = null!;

    public async ValueTask DisposeAsync()
    {
        _one?.Dispose();
        _other?.Dispose();
        _directory.Delete(recursive: true);
        await Task.CompletedTask;
    }

    [Fact]
    public async Task Receive_MessageWithDescriptor_IsAnotherHoldOnTheSameFile()
    {
        await ConnectAsync();
        using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        var path = Path.Combine(_directory.FullName, "sent");
        socket.Bind(new UnixDomainSocketEndPoint(path));
        using var sent = Descriptor.DuplicateOf(socket);

        _one.Send("socket somewhere", sent);
        _one.Send("end");

        var first = await _other.ReceiveAsync(TestContext.Current.CancellationToken).WithinLimit();
        using var received = first!.Value.Descriptor!;
        Assert.Equal("socket somewhere", first.Value.Text);
        Assert.NotEqual(sent.Value, received.Value);
        using var view = received.View();
        Assert.Equal(path, $"{view.LocalEndPoint}");
        Assert.True((ReadFlags(received) & CloseOnExec) != 0, "A child process would inherit it.");
        var last = await _other.ReceiveAsync(TestContext.Current.CancellationToken).WithinLimit();
        Assert.Equal(("end", null), (last!.Value.Text, last.Value.Descriptor));
    }

    [Fact]
    public async Task Receive_TimeIsUpButTheMessageIsThere_ReturnsIt()
    {
        await ConnectAsync();
        _one.Send("ready");

        var message = await _other.ReceiveAsync(new CancellationToken(canceled: true));

        Assert.Equal("ready", message?.Text);
    }

    // The kernel tells of the reset ahead of what was sent before it: a successor that hears nothing serves beside it.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Receive_OtherSideSpokeAndEndedWithoutReadingAll_ReturnsWhatItSaid(bool isWaiting)
    {
        await ConnectAsync();
        var receiving = isWaiting ? _other.ReceiveAsync(TestContext.Current.CancellationToken) : null;
        _other.Send("ready");
        _one.Send("late");
        _one.Dispose();

        var message = await (receiving ?? _other.ReceiveAsync(TestContext.Current.CancellationToken)).WithinLimit();

        Assert.Equal("late", message?.Text);
        Assert.Null(await _other.ReceiveAsync(TestContext.Current.CancellationToken).WithinLimit());
    }

    [Fact]
    public async Task Receive_OtherSideEnds_IsNull()
    {
        await ConnectAsync();
        _one.Dispose();

        Assert.Null(await _other.ReceiveAsync(TestContext.Current.CancellationToken).WithinLimit());
        Assert.Throws<IOException>(() => _other.Send("ready"));
    }

    [Fact]
    public async Task Receive_OtherSideEndsWithoutReading_IsNull()
    {
        await ConnectAsync();
        _other.Send("ready");
        _one.Dispose();

        Assert.Null(await _other.ReceiveAsync(TestContext.Current.CancellationToken).WithinLimit());
    }

    [Fact]
    public async Task Send_MoreThanTheOtherSideHasRoomFor_WaitsUntilItReads()
    {
        const int count = 1000; // As many endpoints; a socket's buffer has room for 277.
        await ConnectAsync();

        var sending = SendAsync();
        Assert.False(sending.IsCompleted);
        for (var i = 0; i < count; i++)
        {
            var message = await _other.ReceiveAsync(TestContext.Current.CancellationToken).WithinLimit();
            using var descriptor = message!.Value.Descriptor;
            Assert.Equal($"socket {i}", message.Value.Text);
            Assert.NotNull(descriptor);
        }

        await sending.WithinLimit();

        async Task SendAsync()
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            using var sent = Descriptor.DuplicateOf(socket);
            for (var i = 0; i < count; i++)
            {
                await _one.SendAsync($"socket {i}", sent, TimeProvider.System, TestContext.Current.CancellationToken);
            }
        }
    }

    [Fact]
    public async Task Send_OtherSideNeverReads_EndsWithItsTime()
    {
        await ConnectAsync();
        using var limit = new CancellationTokenSource();

        var sending = SendForeverAsync();
        Assert.False(sending.IsCompleted);
        await limit.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sending.WithinLimit());

        async Task SendForeverAsync()
        {
            while (true)
            {
                await _one.SendAsync("socket", null, TimeProvider.System, limit.Token);
            }
        }
    }

    [Fact]
    public async Task Credentials_OwnProcess_IsTrusted()
    {
        await ConnectAsync();

        Assert.Equal(Environment.ProcessId, _one.ProcessId);
        Assert.Equal(Environment.ProcessId, _other.ProcessId);
        Assert.True(_one.IsTrusted);
    }

    private static int ReadFlags(Descriptor descriptor)
    {
        var line = File.ReadLines($"/proc/self/fdinfo/{descriptor.Value}").Single(static line => line.StartsWith("flags:", StringComparison.Ordinal));
        return Convert.ToInt32(line["flags:".Length..].Trim(), fromBase: 8);
    }

    private async Task ConnectAsync()
    {
        var endPoint = new UnixDomainSocketEndPoint(Path.Combine(_directory.FullName, "channel"));
        using var listener = DescriptorChannel.CreateSocket();
        listener.Bind(endPoint);
        listener.Listen();
        var socket = DescriptorChannel.CreateSocket();
        await socket.ConnectAsync(endPoint, TestContext.Current.CancellationToken);
        _one = new DescriptorChannel(socket);
        _other = new DescriptorChannel(await listener.AcceptAsync(TestContext.Current.CancellationToken));
    }
}
