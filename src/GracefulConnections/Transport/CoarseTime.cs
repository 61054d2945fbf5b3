namespace GracefulConnections.Transport;

/// <summary>
/// The system's clock by the tick of its scheduler, 1 to 16 ms. To ask it costs a quarter of the exact one, which is
/// noticeable where each message asks, and nobody's limit is finer than that.
/// </summary>
internal sealed class CoarseTime : TimeProvider
{
    private static readonly CoarseTime Instance = new();

    public override long TimestampFrequency => 1000;

    /// <summary>Returns the coarse clock for the system's own, and every other clock as it is.</summary>
    public static TimeProvider Of(TimeProvider time) => time == System ? Instance : time;

#pragma warning disable RS0030 // Here it is a TimeProvider's.
    public override long GetTimestamp() => Environment.TickCount64;
#pragma warning restore RS0030
}
