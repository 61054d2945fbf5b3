using System.Runtime.CompilerServices;
using GracefulConnections.Analyzers.Tests.Support;

namespace GracefulConnections.Analyzers.Tests;

/// <summary>No false alarm on what users read first.</summary>
public class OwnCodeTests
{
    public static TheoryData<string> Samples => [.. Directory.GetDirectories(Path.Combine(Root(), "samples"))
        .Where(static folder => Directory.GetFiles(folder, "*.csproj").Length == 1)
        .Select(static folder => Path.GetFileName(folder))];

    [Theory]
    [MemberData(nameof(Samples))]
    public async Task Sample_RaisesNoAlarm(string sample)
    {
        var sources = Directory.EnumerateFiles(Path.Combine(Root(), "samples", sample), "*.cs", SearchOption.AllDirectories)
            .Where(static path => !path.Contains("/obj/", StringComparison.Ordinal)
                && !path.Contains("/bin/", StringComparison.Ordinal))
            .ToArray();
        Assert.NotEmpty(sources);

        Assert.Empty(await Analysis.GetAsync(sources.Select(File.ReadAllText)));
    }

    private static string Root([CallerFilePath] string path = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "..", ".."));
}
