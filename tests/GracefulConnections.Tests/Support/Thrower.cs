namespace GracefulConnections.Tests.Support;

/// <summary>
/// Foreign code that throws at its call number <paramref name="at"/>, counted from 0, and at every later one if so
/// asked.
/// </summary>
internal sealed class Thrower(int at, bool goesOn = false)
{
    private int _calls = -1;

    /// <summary>Gets what it throws: nothing that anybody expects.</summary>
    public InvalidTimeZoneException Exception { get; } = new("Foreign code threw.");

    public bool HasThrown { get; private set; }

    public void Call()
    {
        var call = Interlocked.Increment(ref _calls);
        if (call == at || (goesOn && call > at))
        {
            HasThrown = true;
            throw Exception;
        }
    }
}
