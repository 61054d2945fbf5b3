using System.Net.Sockets;
using System.Text;
using GracefulConnections.Diagnostics;
using GracefulConnections.Draining;
using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Draining;

/// <summary>What a drain tells the service manager.</summary>
public sealed class DrainNotificationTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("graceful-drain-");
    private readonly Socket? _manager;
    private readonly FakeTimeProvider _time = new();
    private readonly DrainContext _context;

    public DrainNotificationTests()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Needs Unix datagram sockets.");
        var path = Path.Combine(_directory.FullName, "notify");
        _manager = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        _manager.Bind(new UnixDomainSocketEndPoint(path));
        _context = new DrainContext(
            new ServerDrainOptions(),
            _time,
            NullLogger.Instance,
            new SystemdNotifier(path, NullLogger.Instance),
            new DrainTelemetry(null, NullLogger.Instance));
    }

    public void Dispose()
    {
        _manager?.Dispose();
        _directory.Delete(recursive: true);
    }

    [Fact]
    public void Drain_HostStops_ExtendsTheStopBeyondTheDeadlineAndTellsHowFarItIs()
    {
        _context.BeginStop();
        var (batch, connections) = Start(3);

        Assert.Equal("STATUS=Draining, 3 connections left after 0.0 s.\nEXTEND_TIMEOUT_USEC=22000000", Receive());
        Remove(batch, connections[0]);
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("STATUS=Draining, 2 connections left after 1.0 s.\nEXTEND_TIMEOUT_USEC=21000000", Receive());
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("STATUS=Draining, 2 connections left after 2.0 s.\nEXTEND_TIMEOUT_USEC=20000000", Receive());
        Remove(batch, connections[1]);
        Remove(batch, connections[2]);
        Assert.Equal("STATUS=Drained 3 connections in 2.0 s.", Receive());
        Assert.Equal(0, _manager!.Available);
    }

    [Fact]
    public void Drain_Live_TellsHowFarItIsAndExtendsNothing()
    {
        var (batch, connections) = Start(1);

        Assert.Equal("STATUS=Draining, 1 connection left after 0.0 s.", Receive());
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("STATUS=Draining, 1 connection left after 1.0 s.", Receive());
        Remove(batch, connections[0]);
        Assert.Equal("STATUS=Drained 1 connection in 1.0 s.", Receive());
    }

    private void Remove(Batch batch, FakeTrackedConnection connection)
    {
        batch.Remove_NeedsLock(
            connection, new CloseResult { Reason = CloseReason.Drain, Outcome = CloseOutcome.Graceful });
        _context.Reports.Run();
    }

    private (Batch Batch, FakeTrackedConnection[] Connections) Start(int count)
    {
        var others = new TestDrain();
        FakeTrackedConnection[] connections = [.. Enumerable.Range(0, count).Select(i => others.Create($"{i}"))];
        var batch = new Batch(_context, CloseReason.HostStopping, _context.Options.DrainTimeout);
        batch.Join_NeedsLock(connections);
        batch.Drive();
        return (batch, connections);
    }

    private string Receive()
    {
        var buffer = new byte[4096];
        Assert.True(_manager!.Available > 0);
        return Encoding.UTF8.GetString(buffer, 0, _manager.Receive(buffer));
    }
}
