using GracefulConnections.Probe.Scenarios;

namespace GracefulConnections.Probe.Reports;

/// <summary>Tells about scenarios without running them.</summary>
internal static class ScenarioText
{
    public static void WriteList(TextWriter output)
    {
        foreach (var section in Catalog.Infos.GroupBy(info => info.Section[0]))
        {
            output.WriteLine($"{section.Key}. {Catalog.Sections[section.Key]}");
            foreach (var info in section)
            {
                output.WriteLine($"  {info.Section} {info.Name,-24}{info.Expected}");
            }
        }
    }

    public static void WriteExplanation(TextWriter output, ScenarioInfo info)
    {
        output.WriteLine($"{info.Section} {info.Name}");
        output.WriteLine($"  The probe: {info.Does}");
        output.WriteLine($"  Expected:  {info.Expected}");
        output.WriteLine($"  Why:       {info.Why}");
        output.WriteLine($"  See:       {info.Reference}");
    }
}
