namespace GracefulConnections.Probe.Profiles;

/// <summary>A reply of which only the length is known, because the calibration has seen it.</summary>
internal sealed class LengthReply(int bytes) : ReplyForm
{
    public override int Measure(ReadOnlySpan<byte> received) => received.Length >= bytes ? bytes : Incomplete;

    public override string ToString() => $"{bytes:N0} bytes";
}
