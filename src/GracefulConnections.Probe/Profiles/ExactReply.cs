namespace GracefulConnections.Probe.Profiles;

/// <summary>A reply that is known byte by byte.</summary>
internal sealed class ExactReply(byte[] expected) : ReplyForm
{
    public override int Measure(ReadOnlySpan<byte> received)
    {
        var common = Math.Min(received.Length, expected.Length);
        if (!received[..common].SequenceEqual(expected.AsSpan(0, common)))
        {
            return Foreign;
        }

        return received.Length >= expected.Length ? expected.Length : Incomplete;
    }

    public override string ToString() => $"\"{Escapes.ToText(expected, most: 40)}\"";
}
