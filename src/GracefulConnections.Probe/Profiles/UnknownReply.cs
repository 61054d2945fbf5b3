namespace GracefulConnections.Probe.Profiles;

/// <summary>
/// A reply that the user did not describe. The calibration replaces it by a <see cref="LengthReply"/>.
/// </summary>
internal sealed class UnknownReply : ReplyForm
{
    public override int Measure(ReadOnlySpan<byte> received) => Incomplete;

    public override string ToString() => "any reply";
}
