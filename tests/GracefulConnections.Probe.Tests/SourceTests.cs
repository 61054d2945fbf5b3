using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace GracefulConnections.Probe.Tests;

/// <summary>The manner of the source, as the library's own tests ask for it.</summary>
public sealed partial class SourceTests
{
    private const int MostLines = 300;
    private const int MostCharacters = 120;

    [Fact]
    public void Files_OfTheProbe_AreShortAndHaveOneTypeOfTheirName()
    {
        foreach (var path in Files())
        {
            var lines = File.ReadAllLines(path);
            var name = Path.GetFileNameWithoutExtension(path).Split('.')[0];
            Assert.True(lines.Length <= MostLines, $"{path} has {lines.Length} lines");
            Assert.All(lines, line => Assert.True(line.Length <= MostCharacters, $"{path}: {line}"));
            var types = TopLevelType().Matches(File.ReadAllText(path)).Select(match => match.Groups["name"].Value);
            Assert.True(name == "Program" || types.SequenceEqual([name]), $"{path} declares {string.Join(", ", types)}");
        }
    }

    private static IEnumerable<string> Files([CallerFilePath] string thisFile = "")
    {
        var source = Path.Combine(Path.GetDirectoryName(thisFile)!, "..", "..", "src", "GracefulConnections.Probe");
        return Directory.EnumerateFiles(Path.GetFullPath(source), "*.cs", SearchOption.AllDirectories)
            .Where(path => !path.Contains("/obj/", StringComparison.Ordinal) && !path.Contains("/bin/", StringComparison.Ordinal));
    }

    [GeneratedRegex(@"^(?:\w+ )*?(?:class|struct|enum|interface|record struct|record) (?<name>\w+)", RegexOptions.Multiline)]
    private static partial Regex TopLevelType();
}
