using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Reports;

/// <summary>The words of the JSON schema. They are for life, so no renaming of a member may change them.</summary>
internal static class ReportNames
{
    public static string Of(Verdict verdict) => verdict switch
    {
        Verdict.Pass => "pass",
        Verdict.Fail => "fail",
        Verdict.Skipped => "skipped",
        Verdict.Error => "error",
        _ => throw new ArgumentOutOfRangeException(nameof(verdict), verdict, null),
    };

    public static string? Of(Fault fault) => fault switch
    {
        Fault.None => null,
        Fault.LateRelease => "lateRelease",
        Fault.UncleanEnd => "uncleanEnd",
        Fault.LostBehindReset => "lostBehindReset",
        Fault.LostBehindEnd => "lostBehindEnd",
        Fault.ExecutedHalf => "executedHalf",
        Fault.Died => "died",
        _ => throw new ArgumentOutOfRangeException(nameof(fault), fault, null),
    };

    public static string Of(WireKind kind) => kind switch
    {
        WireKind.Connect => "connect",
        WireKind.Data => "data",
        WireKind.Urgent => "urgent",
        WireKind.CloseNotify => "closeNotify",
        WireKind.Fin => "fin",
        WireKind.Reset => "rst",
        WireKind.Note => "note",
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, null),
    };
}
