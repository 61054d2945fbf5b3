using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <summary>The word that holds a <see cref="ReadState"/>, and the compare-and-exchange by which it changes.</summary>
internal struct ReadWord(ReadState state)
{
    private long _word = state.Word;

    internal delegate ReadStep Transition(ReadState state, out ReadState next);

    internal delegate ReadStep Transition<T>(ReadState state, T argument, out ReadState next);

    public readonly ReadState State => new(Volatile.Read(in _word));

    /// <param name="seen">The state that is left; if another thread came first, what it has made of it.</param>
    /// <param name="next">The state that follows.</param>
    public bool TryMove(ref ReadState seen, ReadState next)
    {
        if (next == seen)
        {
            return true;
        }

        Interleaving.Point();
        var found = new ReadState(Interlocked.CompareExchange(ref _word, next.Word, seen.Word));
        if (found == seen)
        {
            return true;
        }

        seen = found;
        return false;
    }

    /// <summary>Makes the transition, from whatever state it finds.</summary>
    public ReadStep Move(Transition transition, out ReadState seen, out ReadState next)
    {
        seen = State;
        ReadStep step;
        do
        {
            step = transition(seen, out next);
        }
        while (!TryMove(ref seen, next));
        return step;
    }

    /// <inheritdoc cref="Move(Transition, out ReadState, out ReadState)"/>
    public ReadStep Move<T>(Transition<T> transition, T argument, out ReadState seen, out ReadState next)
    {
        seen = State;
        ReadStep step;
        do
        {
            step = transition(seen, argument, out next);
        }
        while (!TryMove(ref seen, next));
        return step;
    }
}
