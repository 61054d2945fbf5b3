using GracefulConnections.Probe.Commands;
using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Reports;

/// <summary>Where the reports go. The text goes to standard output, unless the JSON does.</summary>
internal sealed record ReportFiles(string? Json, string? JUnit, string? Html)
{
    private const string StandardOutput = "-";

    /// <exception cref="ProbeFailedException">A file cannot be written.</exception>
    public void Write(RunReport report, TextWriter output)
    {
        if (Json == StandardOutput)
        {
            output.WriteLine(JsonReport.Create(report));
        }
        else
        {
            TextReport.Write(report, output);
            Write(Json, static report => JsonReport.Create(report), report);
        }

        Write(JUnit, static report => JUnitReport.Create(report), report);
        Write(Html, static report => HtmlReport.Create(report), report);
    }

    private static void Write(string? path, Func<RunReport, string> create, RunReport report)
    {
        if (path is null)
        {
            return;
        }

        try
        {
            File.WriteAllText(path, create(report) + "\n");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ProbeFailedException(ExitCode.Usage, $"The report cannot be written: {exception.Message}");
        }
    }
}
