namespace GracefulConnections.Transport;

/// <summary>
/// All that decides who may call the transport's reader, in one word, so that one compare-and-exchange changes it. The
/// changes are those of <see cref="ReadTransitions"/>.
/// </summary>
/// <param name="Word">Two bits for the reader, three for the handler, the flags, and the number of reads that were
/// pending.</param>
internal readonly record struct ReadState(long Word)
{
    private const int UserShift = 2;
    private const int FlagShift = 5;
    private const int EpochShift = 20;
    private const long InnerMask = (1 << UserShift) - 1;
    private const long UserMask = ((1 << FlagShift) - 1) & ~InnerMask;
    private const long FlagMask = ((1 << EpochShift) - 1) & ~UserMask & ~InnerMask;

    /// <summary>Gets who uses the transport's reader.</summary>
    public InnerUse Inner => (InnerUse)(Word & InnerMask);

    /// <summary>Gets what the handler does.</summary>
    public InputUser User => (InputUser)((Word & UserMask) >> UserShift);

    /// <summary>Gets what else is true.</summary>
    public ReadFlags Flags => (ReadFlags)((Word & FlagMask) >> FlagShift);

    /// <summary>Gets how many reads were pending and have completed.</summary>
    public long Epoch => Word >>> EpochShift;

    /// <summary>Gets whether the handler gets nothing more.</summary>
    public bool IsGone => User >= InputUser.Refused;

    /// <summary>Gets whether nobody uses the transport's reader, and nobody keeps others from it.</summary>
    public bool IsLeft => Inner == InnerUse.Free && !Has(ReadFlags.Paused);

    /// <summary>Gets whether what the peer sends is discarded.</summary>
    public bool IsDiscarding =>
        IsGone
        && !Has(ReadFlags.Stopped | ReadFlags.Over | ReadFlags.Foreign)
        && (User != InputUser.Closed || Has(ReadFlags.DiscardDue));

    /// <summary>Gets whether a read that is pending must be left, because its owner wants the reader back.</summary>
    public bool MustLeave => Has(ReadFlags.Stopped) || (IsGone && Has(ReadFlags.Foreign));

    /// <summary>Returns the state that a connection begins with.</summary>
    public static ReadState Create(InputKind kind) => default(ReadState).With(kind switch
    {
        InputKind.Transport => ReadFlags.DiscardDue,
        InputKind.Tls => ReadFlags.Late,
        _ => ReadFlags.Foreign,
    });

    /// <summary>Returns whether one of the flags is set.</summary>
    public bool Has(ReadFlags flags) => (Word & ((long)flags << FlagShift)) != 0;

    public ReadState With(InnerUse inner) => new((Word & ~InnerMask) | (long)inner);

    public ReadState With(InputUser user) => new((Word & ~UserMask) | ((long)user << UserShift));

    public ReadState With(ReadFlags flags) => new(Word | ((long)flags << FlagShift));

    public ReadState Without(ReadFlags flags) => new(Word & ~((long)flags << FlagShift));

    public ReadState WithNextEpoch() => new(Word + (1L << EpochShift));

    /// <inheritdoc/>
    public override string ToString() => $"{Inner}, {User}, {Flags}, {Epoch}";
}
