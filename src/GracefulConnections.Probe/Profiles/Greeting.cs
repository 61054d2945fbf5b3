using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Profiles;

/// <summary>Reads what a server says first.</summary>
internal static class Greeting
{
    /// <summary>Reads the greeting and forgets it, so that replies are counted from zero.</summary>
    /// <returns>What came in its place; <see langword="null"/> if it came.</returns>
    public static async Task<string?> ReadAsync(
        ProbeConnection connection, ReplyForm form, TimeSpan silence, CancellationToken cancellationToken)
    {
        while (true)
        {
            var length = form.Measure(connection.Received);
            if (length > 0)
            {
                connection.ForgetReceived();
                return null;
            }

            if (length == ReplyForm.Foreign ||
                await connection.ReadAsync(silence, cancellationToken) != ReadOutcome.Reached)
            {
                return connection.ReceivedBytes == 0
                    ? "nothing came"
                    : $"\"{Escapes.ToText(connection.Received, most: 60)}\" came";
            }
        }
    }
}
