using GracefulConnections.Probe.Scenarios;

namespace GracefulConnections.Probe.Stopping;

/// <summary>The parts of a stop and of a restart.</summary>
internal static class StopParts
{
    private const string Reference = "RFC 9293 3.6, RFC 9112 9.6";

    public static IReadOnlyList<StopPart> Of(StopKind kind)
    {
        var (section, prefix) = kind == StopKind.Restart ? ('5', "restart") : ('6', "stop");
        return
        [
            Part(StopPeer.Idle, 1, "idle", "Five peers have asked once and wait.", "FIN, no RST.",
                "An RST makes clients log errors, and retry what needs no retry."),
            Part(StopPeer.Busy, 2, "busy",
                "Three peers have sent requests of 64 KiB in all, and read the replies slowly.",
                "Every reply, then FIN.", "What was asked before the stop is owed."),
            Part(StopPeer.Asking, 3, "asking", "Three peers ask, read and ask again without a pause, for 3 s more.",
                "Replies are whole. FIN comes between two messages, no RST.",
                    "A reply that is cut was executed, and its peer does not know."),
            Part(StopPeer.HalfWay, 4, "half-way",
                "Three peers have sent half a request, and send the rest 300 ms later.",
                "The whole reply or none, then FIN.", "A stop is no message boundary."),
            Part(StopPeer.Connecting, 5, "connecting", "A peer connects, asks and ends by FIN, again and again.",
                "Whoever was connected before the stop gets the reply. " +
                    "Refused connects are counted, and are no failure.",
                "A peer that was accepted and reset in the same moment cannot know whether it was served."),
            kind == StopKind.Restart
                ? Part(StopPeer.Server, 6, "serves", "Waits for the first reply after the restart.",
                    "The server serves again within 60 s.", "A restart that ends in no server is an outage.")
                : Part(StopPeer.Server, 6, "exit", "Waits for the server's process to exit.",
                    "It exits within 60 s.", "Supervisors kill what takes longer, and then everything is lost."),
        ];

        StopPart Part(StopPeer peer, int number, string name, string does, string expected, string why) =>
            new(peer, new ScenarioInfo($"{section}.{number}", $"{prefix}-{name}", does, expected, Reference, why));
    }
}
