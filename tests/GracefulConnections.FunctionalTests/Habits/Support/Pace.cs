namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>The silences of a peer or a handler: what a test is about, and no wait for something else.</summary>
internal static class Pace
{
    /// <summary>Gets the silence between two halves of a message. It is within <c>MessageGap</c>.</summary>
    public static TimeSpan HalfMessage { get; } = TimeSpan.FromSeconds(0.7);

    /// <summary>
    /// Gives the handler time to take what was sent, because no handler tells what a reader on top of it holds. Where
    /// this is too short, the test proves less, and does not fail.
    /// </summary>
    public static Task TakenAsync() => PauseAsync(TimeSpan.FromMilliseconds(300));

    /// <summary>Is silent for <paramref name="time"/>.</summary>
    public static Task PauseAsync(TimeSpan time) => WorkAsync(time, CancellationToken.None);

    /// <summary>Does something that takes <paramref name="time"/> and can be given up.</summary>
    public static async Task WorkAsync(TimeSpan time, CancellationToken givenUp)
    {
        using var silence = new PeriodicTimer(time);
        await silence.WaitForNextTickAsync(givenUp);
    }
}
