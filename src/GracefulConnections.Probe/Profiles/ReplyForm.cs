namespace GracefulConnections.Probe.Profiles;

/// <summary>Knows where a reply of a protocol ends.</summary>
internal abstract class ReplyForm
{
    /// <summary>What <see cref="Measure"/> returns when more bytes are needed to tell.</summary>
    public const int Incomplete = 0;

    /// <summary>What <see cref="Measure"/> returns when this cannot become such a reply.</summary>
    public const int Foreign = -1;

    /// <summary>Measures the reply at the beginning of <paramref name="received"/>.</summary>
    /// <returns>Its length in bytes, <see cref="Incomplete"/> or <see cref="Foreign"/>.</returns>
    public abstract int Measure(ReadOnlySpan<byte> received);

    /// <summary>Returns whether a whole reply announces that the server answers nothing behind it.</summary>
    public virtual bool IsLast(ReadOnlySpan<byte> reply) => false;

    /// <summary>Returns whether a whole reply says that the server refused the message, where the form knows.</summary>
    public virtual bool IsRefusal(ReadOnlySpan<byte> reply) => false;
}
