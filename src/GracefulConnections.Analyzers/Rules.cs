using Microsoft.CodeAnalysis;

namespace GracefulConnections.Analyzers;

/// <summary>The rules that the analyzers check.</summary>
internal static class Rules
{
    /// <summary>The id of <see cref="BehindTerminal"/>.</summary>
    public const string BehindTerminalId = "GRACE001";

    /// <summary>The id of <see cref="NothingToDrain"/>.</summary>
    public const string NothingToDrainId = "GRACE002";

    /// <summary>The id of <see cref="SwallowedCancellation"/>.</summary>
    public const string SwallowedCancellationId = "GRACE003";

    /// <summary>The id of <see cref="CanceledAsEnd"/>.</summary>
    public const string CanceledAsEndId = "GRACE004";

    private const string Category = "GracefulConnections";

    /// <summary>The rule that nothing of ours stands behind the end of a pipeline.</summary>
    public static readonly DiagnosticDescriptor BehindTerminal = new(
        BehindTerminalId,
        "UseGracefulShutdown() stands behind the end of the pipeline",
        "UseGracefulShutdown() never runs behind '{0}', which ends the pipeline, and the server throws at start. "
            + "Move it in front of '{0}'.",
        Category,
        DiagnosticSeverity.Warning,
        isEnabledByDefault: true,
        "A connection goes through the middlewares in the order of their calls, and stops at the one that handles it. "
            + "What is registered behind that one is never called.");

    /// <summary>The rule that a drain needs connections that it can close.</summary>
    public static readonly DiagnosticDescriptor NothingToDrain = new(
        NothingToDrainId,
        "AddGracefulShutdown() has no connection to drain",
        "AddGracefulShutdown() drains the connections of endpoints with UseGracefulShutdown(), and this program has "
            + "none. Call UseGracefulShutdown() on the listen options of each endpoint.",
        Category,
        DiagnosticSeverity.Warning,
        isEnabledByDefault: true,
        "The drain knows the connections that UseGracefulShutdown() gives it. Without one it has nothing to do, and "
            + "the server closes its connections as it always did.",
        customTags: [WellKnownDiagnosticTags.CompilationEnd]);

    /// <summary>The rule that a cancelled read ends the loop that reads.</summary>
    public static readonly DiagnosticDescriptor SwallowedCancellation = new(
        SwallowedCancellationId,
        "A loop catches the cancelled read and reads on",
        "This catch swallows the OperationCanceledException by which a close request cancels the read, and the loop "
            + "reads on: every later read fails as well. Leave the loop here.",
        Category,
        DiagnosticSeverity.Warning,
        isEnabledByDefault: true,
        "When a connection is asked to close, the pending read throws OperationCanceledException, and so does every "
            + "later one, the third and every later one after a second. A loop that goes on holds the connection "
            + "until the drain aborts it.");

    /// <summary>The rule that a cancelled read is no end of the peer's bytes.</summary>
    public static readonly DiagnosticDescriptor CanceledAsEnd = new(
        CanceledAsEndId,
        "IsCanceled is taken for the peer's end",
        "IsCanceled says that somebody here cancelled the read. It is no end of what the peer sends, so what came so "
            + "far may be half a message. Only IsCompleted is the peer's end.",
        Category,
        DiagnosticSeverity.Warning,
        isEnabledByDefault: true,
        "A message that was received in part must not be treated like a whole one. IsCompleted is set once the peer "
            + "has sent its end; IsCanceled is set by CancelPendingRead() and says nothing about the peer.");
}
