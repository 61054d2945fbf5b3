using System.Globalization;

namespace TcpProxy;

/// <summary>The counters at one time.</summary>
internal readonly record struct CounterValues(long Connections, long TotalConnections, long BytesToUpstream, long BytesToDownstream, long Resets, long ConnectFailures)
{
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Connections:N0} connections now, {TotalConnections:N0} in total; {BytesToUpstream:N0} bytes to the upstream, {BytesToDownstream:N0} back; {Resets:N0} resets, {ConnectFailures:N0} failed connects");
}
