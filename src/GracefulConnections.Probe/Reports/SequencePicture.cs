using System.Globalization;
using System.Net;
using System.Text;
using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Reports;

/// <summary>Draws who sent what when: the probe at the left, the server at the right, time goes down.</summary>
internal static class SequencePicture
{
    private const int Width = 800;
    private const int ProbeX = 130;
    private const int ServerX = 670;
    private const int Top = 46;
    private const int RowHeight = 30;
    private const int HeadLength = 8;

    public static void Write(StringBuilder svg, ScenarioResult scenario)
    {
        if (scenario.Events.Count == 0)
        {
            return;
        }

        var height = Top + (scenario.Events.Count * RowHeight) + 14;
        var several = scenario.Events.Select(one => one.Connection).Where(one => one > 0).Distinct().Skip(1).Any();
        svg.Append(CultureInfo.InvariantCulture, $"""
            <svg viewBox="0 0 {Width} {height}" role="img" aria-label="Who sent what when in {Text(scenario.Name)}">
            <text x="{ProbeX}" y="20" text-anchor="middle" class="probe">probe</text>
            <text x="{ServerX}" y="20" text-anchor="middle" class="server">server</text>
            <line x1="{ProbeX}" y1="28" x2="{ProbeX}" y2="{height - 6}" class="life"/>
            <line x1="{ServerX}" y1="28" x2="{ServerX}" y2="{height - 6}" class="life"/>

            """);
        for (var i = 0; i < scenario.Events.Count; i++)
        {
            Write(svg, scenario.Events[i], Top + (i * RowHeight), several);
        }

        svg.Append("</svg>\n");
    }

    private static void Write(StringBuilder svg, WireEvent one, int y, bool several)
    {
        svg.Append(CultureInfo.InvariantCulture,
            $"<text x=\"{ProbeX - 12}\" y=\"{y + 12}\" text-anchor=\"end\" " +
            $"class=\"soft mono\">{Time(one)}</text>\n");
        if (one.Kind == WireKind.Note)
        {
            svg.Append(CultureInfo.InvariantCulture,
                $"<text x=\"{Width / 2}\" y=\"{y + 12}\" text-anchor=\"middle\" " +
                $"class=\"soft\">{Text(one.Note ?? "")}</text>\n");
            return;
        }

        var (from, to) = one.FromServer ? (ServerX, ProbeX) : (ProbeX, ServerX);
        var tip = one.FromServer ? HeadLength : -HeadLength;
        var look = one.Kind == WireKind.Reset ? "rst" : one.FromServer ? "server" : "probe";
        var dashes = one.Kind is WireKind.Data or WireKind.Urgent ? "" : " stroke-dasharray=\"6 3\"";
        svg.Append(CultureInfo.InvariantCulture, $"""
            <line x1="{from}" y1="{y + 8}" x2="{to}" y2="{y + 14}" class="{look}"{dashes}/>
            <polygon points="{to},{y + 14} {to + tip},{y + 9} {to + tip},{y + 18}" class="{look}"/>
            <text x="{Width / 2}" y="{y + 6}" text-anchor="middle" class="{look}">{Text(Label(one, several))}</text>

            """);
    }

    private static string Label(WireEvent one, bool several)
    {
        var what = one.Kind switch
        {
            WireKind.Connect => "connect",
            WireKind.Data => $"{one.Bytes.ToString("N0", CultureInfo.InvariantCulture)} bytes",
            WireKind.Urgent => "urgent byte",
            WireKind.CloseNotify => "close_notify",
            WireKind.Fin => "FIN",
            _ => "RST",
        };
        var note = one.Note is null ? "" : $" ({one.Note})";
        return several ? $"#{one.Connection} {what}{note}" : $"{what}{note}";
    }

    private static string Time(WireEvent one) => one.UntilMs - one.Ms < 1
        ? string.Create(CultureInfo.InvariantCulture, $"{one.Ms:N0} ms")
        : string.Create(CultureInfo.InvariantCulture, $"{one.Ms:N0} to {one.UntilMs:N0} ms");

    private static string Text(string text) => WebUtility.HtmlEncode(text);
}
