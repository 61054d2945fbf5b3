using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <summary>
/// The life of an output in one word: its flags, and above them a count of what has happened since nobody sent. Whoever
/// raises the count from zero sends, and leaves only by the same word that was read before the last look: then nothing
/// has happened meanwhile.
/// </summary>
internal struct SendState
{
    private const long OneSignal = 1 << 8;
    private const long FlagBits = OneSignal - 1;

    private long _word;

    /// <summary>Gets whether somebody sends. From the end on somebody always does.</summary>
    public readonly bool IsOwned => Read() >= OneSignal;

    /// <summary>Returns the flags of a word.</summary>
    public static SendFlags FlagsOf(long word) => (SendFlags)(word & FlagBits);

    public readonly long Read() => Volatile.Read(in _word);

    public readonly bool Has(SendFlags flag) => (FlagsOf(Read()) & flag) != 0;

    public void Set(SendFlags flags)
    {
        Interleaving.Point();
        Interlocked.Or(ref _word, (long)flags);
    }

    /// <summary>Tells whoever sends that something has happened.</summary>
    /// <returns><see langword="true"/> when nobody sends: the caller does from here on.</returns>
    public bool Signal()
    {
        Interleaving.Point();
        return Interlocked.Add(ref _word, OneSignal) < OneSignal + OneSignal;
    }

    /// <summary>Stops sending. Only the one who sends may call it.</summary>
    /// <param name="seen">What <see cref="Read"/> returned before the caller looked for something to do.</param>
    /// <returns><see langword="false"/> when something has happened since: the caller must look again.</returns>
    public bool TryLeave(long seen)
    {
        Interleaving.Point();
        return Interlocked.CompareExchange(ref _word, seen & FlagBits, seen) == seen;
    }
}
