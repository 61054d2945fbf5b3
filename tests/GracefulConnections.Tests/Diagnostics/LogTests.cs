using System.Reflection;
using GracefulConnections.Diagnostics;
using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Diagnostics;

public class LogTests
{
    // An id is for life: a new message takes the next number, and none is ever given again.
    [Theory]
    [InlineData(1, "CloseRequested", LogLevel.Debug)]
    [InlineData(2, "Closing", LogLevel.Debug)]
    [InlineData(3, "Closed", LogLevel.Debug)]
    [InlineData(4, "TransportFaulted", LogLevel.None)]
    [InlineData(5, "HandlerEndedWithConnection", LogLevel.None)]
    [InlineData(6, "GoodbyeTimedOut", LogLevel.Warning)]
    [InlineData(7, "GoodbyeFaulted", LogLevel.Warning)]
    [InlineData(8, "CloseRequestCallbackFaulted", LogLevel.Warning)]
    [InlineData(9, "TransportIsWrapped", LogLevel.Warning)]
    [InlineData(11, "DrainStarted", LogLevel.None)] // The level is the drain's own.
    [InlineData(12, "DrainProgress", LogLevel.None)]
    [InlineData(15, "HandlerAbandoned", LogLevel.Warning)]
    [InlineData(16, "HandlerIgnoresAbort", LogLevel.Warning)]
    [InlineData(17, "DrainCallbackFaulted", LogLevel.Warning)]
    [InlineData(18, "AbortRequested", LogLevel.Warning)]
    [InlineData(19, "ShutdownTimeoutRaised", LogLevel.Information)]
    [InlineData(20, "GracePeriodTooShort", LogLevel.Warning)]
    [InlineData(21, "GracePeriodUnreadable", LogLevel.Warning)]
    [InlineData(22, "NotifyFailed", LogLevel.Debug)]
    [InlineData(32, "ConfigurationReloaded", LogLevel.Information)]
    [InlineData(49, "StopThreadMissing", LogLevel.Warning)]
    [InlineData(GracefulTelemetry.DrainAnnouncedEvent, "DrainAnnounced", LogLevel.Information)]
    [InlineData(GracefulTelemetry.DrainEndedEvent, "DrainEnded", LogLevel.None)]
    [InlineData(GracefulTelemetry.DrainAbortedEvent, "DrainAborted", LogLevel.Warning)]
    [InlineData(GracefulTelemetry.OutputLostEvent, "OutputLost", LogLevel.Warning)]
    public void Message_Always_KeepsItsIdNameAndLevel(int id, string name, LogLevel level)
    {
        var message = Assert.Single(Messages, message => message.EventId == id);

        Assert.Equal((name, level), (message.EventName, message.Level));
    }

    [Fact]
    public void Messages_All_HaveUniqueIdsAndTheNamesOfTheirMethods()
    {
        Assert.Distinct(Messages.Select(message => message.EventId));
        Assert.All(Methods, method => Assert.Equal(method.Name, method.GetCustomAttribute<LoggerMessageAttribute>()!.EventName));
    }

    [Fact]
    public void Messages_AboutAConnection_NameItFirst() => Assert.All(
        Methods.Where(method => method.GetParameters().Any(parameter => parameter.Name == "connectionId")),
        method => Assert.Equal("connectionId", method.GetParameters()[1].Name));

    [Fact]
    public async Task Close_Requested_LogsEveryStepWithItsValues()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        connection.Feature.RequestClose(CloseReason.Drain);
        connection.Return();
        connection.Peer.Send("discarded");
        endpoint.Time.Advance(TimeSpan.FromSeconds(2));
        connection.Peer.HalfClose();
        await connection.EndAsync();

        Assert.Equal(
            [
                """Connection id "in-memory" was asked to close: Drain.""",
                """Connection id "in-memory" is closing: Drain.""",
                """Connection id "in-memory" closed: Graceful (Drain) after 2000 ms, 9 bytes discarded, (null) bytes unacknowledged.""",
            ],
            endpoint.Logger.Entries.Select(entry => entry.Message));
        var values = endpoint.Logger.Entries.Last().Values;
        Assert.Equal(
            ("in-memory", CloseOutcome.Graceful, CloseReason.Drain, 2000.0, 9L, null),
            (values["ConnectionId"], values["Outcome"], values["Reason"], values["ElapsedMs"], values["DiscardedBytes"], values["UnacknowledgedBytes"]));
    }

    [Fact]
    public async Task Close_PeerResets_LogsTheFaultQuietly()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        connection.Return();
        connection.Peer.Reset();
        await connection.EndAsync();

        Assert.Equal(["Closing", "TransportFaulted", "Closed"], endpoint.Logger.Events);
        Assert.All(endpoint.Logger.Entries, entry => Assert.Equal(LogLevel.Debug, entry.Level));
    }

    private static IEnumerable<MethodInfo> Methods => typeof(Log).GetMethods(BindingFlags.Static | BindingFlags.Public).Where(method => method.GetCustomAttribute<LoggerMessageAttribute>() is not null);

    private static IEnumerable<LoggerMessageAttribute> Messages => Methods.Select(method => method.GetCustomAttribute<LoggerMessageAttribute>()!);
}
