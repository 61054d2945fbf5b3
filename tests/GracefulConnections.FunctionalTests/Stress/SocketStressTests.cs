using System.Collections.Concurrent;
using System.Globalization;
using CsCheck;
using GracefulConnections.FunctionalTests.Stress.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Stress;

/// <summary>
/// Random sequences over real sockets: both ends keep books and compare. A failure prints the shortest sequence found and the seed that makes it again (set it in the variable
/// <c>CsCheck_Seed</c>). <c>GRACEFUL_STRESS_FACTOR</c> multiplies the number of sequences, for soak runs.
/// </summary>
[Collection(SerialTests.Name)]
public class SocketStressTests
{
    private const int Concurrency = 64; // Most of them wait for a timeout at any time.

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Connections_AnySequence_KeepTheInvariantsAndLeaveNothingBehind(bool allowHalfOpen)
    {
        var handlers = new ConcurrentDictionary<int, TaskCompletionSource<SocketHandler>>();
        var server = await TestServer.StartAsync(SocketSequence.ServeBy(handlers), options =>
        {
            options.FlushStallTimeout = TimeSpan.FromMilliseconds(300);
            options.LingerIdleTimeout = TimeSpan.FromMilliseconds(200);
            options.CloseTimeout = TimeSpan.FromSeconds(20);
            options.AllowHalfOpen = allowHalfOpen;
        });
        var port = server.Port;
        await using (server)
        {
            await SocketScript.All.SampleAsync(new SocketSequence(server, handlers).RunAsync, iter: Count(1000), threads: Concurrency);
            await server.StopAsync();
        }

        Assert.Empty(await OpenSocketsAsync(port));
    }

    private static long Count(long normal) =>
        double.TryParse(Environment.GetEnvironmentVariable("GRACEFUL_STRESS_FACTOR"), CultureInfo.InvariantCulture, out var factor) ? (long)(normal * factor) : normal;

    // A socket without an owner has inode 0: TIME_WAIT and what the kernel finishes alone. Any other one is an open descriptor.
    private static async Task<string[]> OpenSocketsAsync(int port)
    {
        if (!OperatingSystem.IsLinux())
        {
            return [];
        }

        var ending = $":{port:X4}";
        var lines = await File.ReadAllLinesAsync("/proc/net/tcp");
        return [.. lines.Skip(1).Where(line =>
        {
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            return (fields[1].EndsWith(ending, StringComparison.Ordinal) || fields[2].EndsWith(ending, StringComparison.Ordinal)) && fields[9] != "0";
        })];
    }
}
