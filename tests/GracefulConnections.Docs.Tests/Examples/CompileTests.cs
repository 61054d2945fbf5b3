namespace GracefulConnections.Docs.Tests.Examples;

/// <summary>What stands in the documentation compiles.</summary>
public class CompileTests
{
    private const int OneInSoMany = 10;

    private static readonly IReadOnlyList<CodeBlock> Blocks =
        [.. Repository.Pages.SelectMany(static page => page.Code).Where(static block => block.Language == "csharp")];

    [Fact]
    public void Blocks_OfCSharp_Compile()
    {
        Assert.NotEmpty(Blocks);
        var faults = Blocks.Where(static block => !block.IsFragment).AsParallel().AsOrdered().SelectMany(FindFaults);
        Faults.AssertNone(faults);
    }

    [Fact]
    public void Blocks_ThatAreFragments_AreAtMostOneInTen() =>
        Assert.InRange(Blocks.Count(static block => block.IsFragment) * OneInSoMany, 0, Blocks.Count);

    private static IEnumerable<string> FindFaults(CodeBlock block)
    {
        var earlier = Blocks.Where(other => other.Page == block.Page && other.Line < block.Line);
        var compilation = Example.Compile(block.Text, [.. earlier.Select(static other => other.Text)]);
        return Example.Errors(compilation).Select(error => $"{block}: {error.Id} {error.GetMessage(null)}");
    }
}
