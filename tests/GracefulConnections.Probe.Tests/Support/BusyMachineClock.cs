namespace GracefulConnections.Probe.Tests.Support;

/// <summary>The clock of a machine that is busy: every pause takes ten times as long as it should.</summary>
internal sealed class BusyMachineClock : TimeProvider
{
    private const int Factor = 10;

    public override long TimestampFrequency => base.TimestampFrequency / Factor;
}
