using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace GracefulConnections.Tests.Docs;

/// <summary>The code of a page is a file of this project, so it is compiled, and its tests run.</summary>
public partial class PageTests
{
    private const int MostTestLines = 40;

    [Theory]
    [InlineData("testing.md", "ChatHandler.cs")]
    [InlineData("testing.md", "ChatHandlerTests.cs")]
    public void Page_ItsBlock_IsTheFileThatIsCompiled(string page, string file)
    {
        var code = Read(file).Split('\n').SkipWhile(static line => !line.StartsWith("public ", StringComparison.Ordinal));

        Assert.Contains(string.Join('\n', code), CodeBlocks(page));
    }

    [Fact]
    public void TestingPage_ItsTests_TakeAtMost40Lines() =>
        Assert.InRange(
            CodeBlocks("testing.md").Single(static block => block.Contains("class ChatHandlerTests")).Count(c => c == '\n'),
            1,
            MostTestLines);

    private static string Read(string file, [CallerFilePath] string thisFile = "") =>
        File.ReadAllText(Path.Combine(Path.GetDirectoryName(thisFile)!, file));

    private static string[] CodeBlocks(string page) =>
        [.. CSharpBlock().Matches(Read($"../../../src/docs/{page}")).Select(static match => match.Groups[1].Value)];

    [GeneratedRegex(@"^```csharp\n(.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex CSharpBlock();
}
