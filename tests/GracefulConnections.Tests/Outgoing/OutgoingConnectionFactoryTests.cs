using System.Net;
using System.Net.Sockets;
using GracefulConnections.Outgoing;
using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Tests.Outgoing;

/// <summary>Names with several addresses: what is tried, in which order, and what is told.</summary>
public sealed class OutgoingConnectionFactoryTests : IDisposable
{
    private static readonly IPAddress Dead = IPAddress.Parse("127.0.0.2");
    private static readonly IPAddress Alive = IPAddress.Loopback;

    // One port at both addresses, so that no other program of the machine has it. What is bound and does not listen refuses.
    private readonly (Socket Dead, Socket Alive) _sockets = BindBoth();
    private readonly ServiceProvider _services =
        new ServiceCollection().AddGracefulConnectionFactory().BuildServiceProvider();

    private DnsEndPoint Name => new("cache.example", ((IPEndPoint)_sockets.Alive.LocalEndPoint!).Port);

    public void Dispose()
    {
        _sockets.Dead.Dispose();
        _sockets.Alive.Dispose();
        _services.Dispose();
    }

    [Theory]
    [InlineData("::1 127.0.0.1", "::1 127.0.0.1")]
    [InlineData("::1 ::2 ::3 127.0.0.1 127.0.0.2", "::1 127.0.0.1 ::2 127.0.0.2 ::3")]
    [InlineData("127.0.0.1 127.0.0.2 ::1", "127.0.0.1 ::1 127.0.0.2")]
    [InlineData("127.0.0.1", "127.0.0.1")]
    public void Order_TwoFamilies_TakeTurnsAndTheFirstBegins(string addresses, string expected) => Assert.Equal(
        expected,
        string.Join(' ', ConnectRace.Order([.. addresses.Split(' ').Select(IPAddress.Parse)]).Select(a => $"{a}")));

    [Fact]
    public async Task FirstAddressRefuses_TheSecondIsTriedAtOnce()
    {
        _sockets.Alive.Listen();
        var factory = Factory(TimeSpan.FromHours(1), Dead, Alive);

        var connection = await factory.ConnectAsync(Name, CancellationToken.None).AsTask().WithinLimit();

        Assert.Equal(Alive, ((IPEndPoint)connection.RemoteEndPoint!).Address);
        connection.Abort();
    }

    // A full accept queue answers no SYN, so that the attempt hangs.
    [Fact]
    public async Task FirstAddressHangs_TheSecondIsTriedBesideItAndItsSocketIsClosed()
    {
        _sockets.Alive.Listen();
        _sockets.Dead.Listen(0);
        using var first = NewSocket();
        await first.ConnectAsync(_sockets.Dead.LocalEndPoint!, CancellationToken.None);
        var factory = Factory(TimeSpan.FromMilliseconds(10), Dead, Alive);

        var connection = await factory.ConnectAsync(Name, CancellationToken.None).AsTask().WithinLimit();

        Assert.Equal(Alive, ((IPEndPoint)connection.RemoteEndPoint!).Address);
        connection.Abort();
    }

    [Fact]
    public async Task EveryAddressRefuses_TellsEachOfThem()
    {
        var port = Name.Port;
        var factory = Factory(TimeSpan.FromMilliseconds(10), Dead, Alive);

        var exception = await Assert.ThrowsAsync<SocketException>(
            () => factory.ConnectAsync(new DnsEndPoint("cache.example", port), CancellationToken.None).AsTask().WithinLimit());

        Assert.Equal(SocketError.ConnectionRefused, exception.SocketErrorCode);
        Assert.StartsWith($"Cannot connect to cache.example:{port}: ", exception.Message, StringComparison.Ordinal);
        Assert.Contains($"127.0.0.2:{port}: ", exception.Message, StringComparison.Ordinal);
        Assert.Contains($"127.0.0.1:{port}: ", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task LocalEndPointOfTheOtherFamily_TellsThatNoAddressFits()
    {
        var factory = Factory(TimeSpan.FromMilliseconds(10), Alive);
        _services.GetRequiredService<IOptionsMonitor<OutgoingConnectionOptions>>().CurrentValue.LocalEndPoint =
            new IPEndPoint(IPAddress.IPv6Loopback, 0);

        var exception = await Assert.ThrowsAsync<SocketException>(
            () => factory.ConnectAsync(Name, CancellationToken.None).AsTask().WithinLimit());

        Assert.Contains(
            "none of the name's addresses (127.0.0.1) is of the family InterNetworkV6; no address was tried.",
            exception.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task OtherKindOfEndPoint_SaysWhichAreTaken()
    {
        var exception = await Assert.ThrowsAsync<NotSupportedException>(
            () => Factory(TimeSpan.FromSeconds(1)).ConnectAsync(new FileHandleEndPoint(3, FileHandleType.Tcp), CancellationToken.None).AsTask());

        Assert.Contains("IPEndPoint, a DnsEndPoint or a UnixDomainSocketEndPoint", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task OptionsOutOfRange_AreAllNamed()
    {
        await using var services = new ServiceCollection().AddGracefulConnectionFactory(options =>
        {
            options.ConnectTimeout = TimeSpan.Zero;
            options.AttemptDelay = TimeSpan.FromMilliseconds(9);
            options.KeepAlive = TimeSpan.FromMilliseconds(999);
            options.SendBufferSize = 0;
            options.ReceiveBufferSize = -1;
            options.ReadBlockSize = 4095;
            options.DrainWithServer = true;
        }).BuildServiceProvider();

        var exception = await Assert.ThrowsAsync<OptionsValidationException>(
            () => services.GetRequiredService<IConnectionFactory>().ConnectAsync(Name, CancellationToken.None).AsTask());

        Assert.Equal(
            [
                "OutgoingConnectionOptions: ConnectTimeout must be positive and at most one day, or Timeout.InfiniteTimeSpan for no limit, but was 00:00:00.",
                "OutgoingConnectionOptions: AttemptDelay must be from 10 ms to one day, but was 00:00:00.0090000.",
                "OutgoingConnectionOptions: KeepAlive must be null for none, or from 1 s to 32767 s, but was 00:00:00.9990000.",
                "OutgoingConnectionOptions: SendBufferSize must be null for the kernel's own, or one byte or more, but was 0.",
                "OutgoingConnectionOptions: ReceiveBufferSize must be null for the kernel's own, or one byte or more, but was -1.",
                "OutgoingConnectionOptions: ReadBlockSize must be from 4096 to 1048576 bytes, but was 4095.",
                "OutgoingConnectionOptions: DrainWithServer needs a drain: call AddGracefulShutdown(), or leave it false, but was True.",
            ],
            exception.Failures);
    }

    // Else nobody would close what has connected by then.
    [Fact]
    public async Task ConnectAsync_OptionsOfTheCloseAreOutOfRange_DoesNotConnect()
    {
        using var listener = NewSocket();
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        await using var services = new ServiceCollection()
            .AddGracefulConnectionFactory()
            .Configure<GracefulCloseOptions>(static options => options.CloseTimeout = TimeSpan.Zero)
            .BuildServiceProvider();

        await Assert.ThrowsAsync<OptionsValidationException>(() => services.GetRequiredService<IConnectionFactory>()
            .ConnectAsync(listener.LocalEndPoint!, CancellationToken.None).AsTask());

        Assert.False(listener.Poll(0, SelectMode.SelectRead));
    }

    private static Socket NewSocket() => new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    private static (Socket Dead, Socket Alive) BindBoth()
    {
        while (true)
        {
            var (dead, alive) = (NewSocket(), NewSocket());
            dead.Bind(new IPEndPoint(Dead, 0));
            try
            {
                alive.Bind(new IPEndPoint(Alive, ((IPEndPoint)dead.LocalEndPoint!).Port));
                return (dead, alive);
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                dead.Dispose(); // The next port.
                alive.Dispose();
            }
        }
    }

    private OutgoingConnectionFactory Factory(TimeSpan attemptDelay, params IPAddress[] addresses)
    {
        _services.GetRequiredService<IOptionsMonitor<OutgoingConnectionOptions>>().CurrentValue.AttemptDelay = attemptDelay;
        var factory = (OutgoingConnectionFactory)_services.GetRequiredService<IConnectionFactory>();
        factory.Resolve = (_, _) => Task.FromResult(addresses);
        return factory;
    }
}
