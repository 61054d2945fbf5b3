namespace GracefulConnections.Docs.Tests;

/// <summary>A block of code that names a file of a sample behind its fence still stands in that file.</summary>
public class SampleTests
{
    private const string Samples = "samples/";

    [Fact]
    public void Blocks_OfSamples_StandInTheirFile() => Faults.AssertNone(
        from page in Repository.Pages
        from block in page.Code
        let path = block.Info.Split(' ').SingleOrDefault(word => word.StartsWith(Samples, StringComparison.Ordinal))
        where path is not null
        let file = Unindented(File.ReadAllText(Path.Combine(Repository.Root, path)))
        where !file.Contains(Unindented(block.Text), StringComparison.Ordinal)
        select $"{block}: this is not in {path} any more. Copy it from there again.");

    [Fact]
    public void Blocks_OfTheChatServer_AreNamed() => Assert.All(
        Repository.Find("src/docs/chat-server.md").Code.Where(block => block.Language is "cs" or "csharp"),
        block => Assert.Contains(Samples, block.Info, StringComparison.Ordinal));

    private static string Unindented(string text) => string.Join('\n', text.Split('\n').Select(line => line.TrimStart()));
}
