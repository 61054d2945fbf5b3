using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>A connection in the books of a model: what must have happened to it by when.</summary>
internal sealed class DrainMember(FakeTrackedConnection connection, int index)
{
    public FakeTrackedConnection Connection { get; } = connection;

    /// <summary>Gets a bit of its own, so that a sum over connections tells which of them are in it, and how often.</summary>
    public long Bit { get; } = 1L << index;

    /// <summary>Gets or sets when it ended in the order of things; 0 while it has not.</summary>
    public int EndedSequence { get; set; }

    public TimeSpan EndedAt { get; set; } = TimeSpan.MaxValue;

    public TimeSpan AskedBy { get; private set; } = TimeSpan.MaxValue;

    public TimeSpan AbortedBy { get; private set; } = TimeSpan.MaxValue;

    /// <summary>Gets the first moment at which anybody has a reason to abort it.</summary>
    public TimeSpan AbortedFrom { get; private set; } = TimeSpan.MaxValue;

    public bool HasEnded => EndedSequence > 0;

    public void ExpectAsk(TimeSpan by) => AskedBy = by < AskedBy ? by : AskedBy;

    public void ExpectAbort(TimeSpan from, TimeSpan by)
    {
        AbortedFrom = from < AbortedFrom ? from : AbortedFrom;
        AbortedBy = by < AbortedBy ? by : AbortedBy;
    }
}
