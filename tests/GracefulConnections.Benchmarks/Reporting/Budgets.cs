namespace GracefulConnections.Benchmarks.Reporting;

/// <summary>All budgets, in the order printed.</summary>
internal static class Budgets
{
    // No object has fewer bytes: what is below is the noise of timers and of asking.
    private const double LessThanStock = -1;

    public static Budget[] All { get; } =
    [
        new("echo-64B", "messages/s", Comparison.RatioAtLeast, Must: 0.98, Aim: 1.10),
        new("echo-64B", "server CPU us/message", Comparison.RatioAtMost, Must: 1.03, Aim: 0.90),
        new("echo-64B", "p99 latency us", Comparison.RatioAtMost, Must: 1.05, Aim: 0.90),
        new("echo-64B", "allocated B/message", Comparison.DifferenceAtMost, Must: 0, Aim: LessThanStock),
        new("echo-64B", "load generator CPU us/message", Comparison.RatioAtMost),

        new("echo-64KiB", "messages/s", Comparison.RatioAtLeast, Must: 0.98, Aim: 1.10),
        new("echo-64KiB", "server CPU us/message", Comparison.RatioAtMost, Must: 1.03, Aim: 0.90),
        new("echo-64KiB", "p99 latency us", Comparison.RatioAtMost, Must: 1.05, Aim: 0.90),
        new("echo-64KiB", "allocated B/message", Comparison.DifferenceAtMost, Must: 0, Aim: LessThanStock),
        new("echo-64KiB", "load generator CPU us/message", Comparison.RatioAtMost),

        new("feed-64B", "messages/s", Comparison.RatioAtLeast),
        new("feed-64B", "server CPU us/message", Comparison.RatioAtMost),
        new("feed-64B", "p99 latency us", Comparison.RatioAtMost),
        new("feed-64B", "allocated B/message", Comparison.DifferenceAtMost, Must: 0, Aim: LessThanStock),
        new("feed-64B", "load generator CPU us/message", Comparison.RatioAtMost),

        new("connect", "connections/s", Comparison.RatioAtLeast, Must: 0.90, Aim: 1.00),
        new("connect", "server CPU us/connection", Comparison.RatioAtMost, Must: 1.25, Aim: 1.00),
        new("connect", "p99 latency us", Comparison.RatioAtMost),
        new("connect", "allocated B/connection", Comparison.DifferenceAtMost, Must: 2048, Aim: 1024),
        new("connect", "load generator CPU us/connection", Comparison.RatioAtMost),

        new("tls-echo-64B", "messages/s", Comparison.RatioAtLeast, Must: 0.98, Aim: 1.10),
        new("tls-echo-64B", "server CPU us/message", Comparison.RatioAtMost, Must: 1.03, Aim: 0.90),
        new("tls-echo-64B", "p99 latency us", Comparison.RatioAtMost, Must: 1.05, Aim: 0.90),
        new("tls-echo-64B", "allocated B/message", Comparison.DifferenceAtMost, Must: 0, Aim: LessThanStock),
        new("tls-echo-64B", "load generator CPU us/message", Comparison.RatioAtMost),

        new("tls-echo-64KiB", "messages/s", Comparison.RatioAtLeast, Must: 0.98, Aim: 1.10),
        new("tls-echo-64KiB", "server CPU us/message", Comparison.RatioAtMost, Must: 1.03, Aim: 0.90),
        new("tls-echo-64KiB", "p99 latency us", Comparison.RatioAtMost, Must: 1.05, Aim: 0.90),
        new("tls-echo-64KiB", "allocated B/message", Comparison.DifferenceAtMost, Must: 0, Aim: LessThanStock),
        new("tls-echo-64KiB", "load generator CPU us/message", Comparison.RatioAtMost),

        new("tls-connect", "connections/s", Comparison.RatioAtLeast, Must: 0.90, Aim: 1.00),
        new("tls-connect", "server CPU us/connection", Comparison.RatioAtMost),
        new("tls-connect", "p99 latency us", Comparison.RatioAtMost),
        new("tls-connect", "allocated B/connection", Comparison.DifferenceAtMost),
        new("tls-connect", "load generator CPU us/connection", Comparison.RatioAtMost),

        new("lingering-memory", "managed B/connection", Comparison.DifferenceAtMost, Must: 1024, Aim: LessThanStock),

        new("tracked-memory", "managed B/connection", Comparison.DifferenceAtMost, Must: 2048, Aim: 1024),

        new("drain", "ms to the last FIN", Comparison.OursAtMost, Must: 2000),
        new("drain", "ms to the last FIN", Comparison.RatioAtMost, Must: 3, Aim: 2),
        new("drain", "server CPU ms", Comparison.RatioAtMost),
        new("drain", "GetConnections() ms", Comparison.OursAtMost, Must: 10),

        new("dashboard", "% of a core, nobody looks", Comparison.OursAtMost),
        new("dashboard", "% of a core more, 1 page", Comparison.OursAtMost, Must: 2),
        new("dashboard", "KiB/s, 1 page", Comparison.OursAtMost, Must: 50),
        new("dashboard", "% of a core more, 100 pages", Comparison.OursAtMost),
        new("dashboard", "managed KiB/page of 100", Comparison.OursAtMost),

        new("proxy", "MB/s to upstream", Comparison.RatioAtLeast, Must: 1.00, Aim: 1.30),
        new("proxy", "MB/s from upstream", Comparison.RatioAtLeast, Must: 1.00, Aim: 1.30),
        new("proxy", "relay CPU s/GB to upstream", Comparison.RatioAtMost, Must: 1.10, Aim: 0.80),
        new("proxy", "relay CPU s/GB from upstream", Comparison.RatioAtMost, Must: 1.10, Aim: 0.80),
        new("proxy", "requests/s", Comparison.RatioAtLeast, Must: 0.75, Aim: 1.00),
        new("proxy", "relay CPU us/request", Comparison.RatioAtMost),

        new("relay-echo", "requests/s on 1", Comparison.RatioAtLeast),
        new("relay-echo", "relay CPU us/request on 1", Comparison.RatioAtMost),
        new("relay-echo", "requests/s on 16", Comparison.RatioAtLeast),
        new("relay-echo", "relay CPU us/request on 16", Comparison.RatioAtMost),
        new("relay-echo", "requests/s on 64", Comparison.RatioAtLeast, Must: 0.75, Aim: 1.00),
        new("relay-echo", "relay CPU us/request on 64", Comparison.RatioAtMost),
        new("relay-echo", "requests/s on 256", Comparison.RatioAtLeast),
        new("relay-echo", "relay CPU us/request on 256", Comparison.RatioAtMost),

        new("relay-memory", "KiB/idle connection", Comparison.DifferenceAtMost),
        new("relay-memory", "KiB/held up connection", Comparison.DifferenceAtMost),
    ];
}
