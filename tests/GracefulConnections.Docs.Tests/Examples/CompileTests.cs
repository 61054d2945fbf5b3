using GracefulConnections.Analyzers;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;

namespace GracefulConnections.Docs.Tests.Examples;

/// <summary>What stands in the documentation compiles.</summary>
public class CompileTests
{
    private const int OneInSoMany = 10;

    private static readonly DiagnosticAnalyzer[] OfEveryBlock =
        [new PipelineOrderAnalyzer(), new ReadLoopAnalyzer(), new CanceledAsEndAnalyzer()];

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

    [Fact]
    public async Task Blocks_OfCSharp_RaiseNoAlarmOfTheAnalyzers()
    {
        var faults = new List<string>();
        foreach (var block in Blocks.Where(static block => !block.IsFragment))
        {
            // A block that shows one call of a program is no program that lacks the other.
            DiagnosticAnalyzer[] analyzers = block.Text.Contains("app.Run()", StringComparison.Ordinal)
                ? [.. OfEveryBlock, new NothingToDrainAnalyzer()]
                : OfEveryBlock;
            var alarms = await Compile(block).WithAnalyzers([.. analyzers]).GetAnalyzerDiagnosticsAsync();
            faults.AddRange(alarms.Select(alarm => $"{block}: {alarm.Id} {alarm.GetMessage(null)}"));
        }

        Faults.AssertNone(faults);
    }

    private static IEnumerable<string> FindFaults(CodeBlock block) =>
        Example.Errors(Compile(block)).Select(error => $"{block}: {error.Id} {error.GetMessage(null)}");

    private static CSharpCompilation Compile(CodeBlock block)
    {
        var earlier = Blocks.Where(other => other.Page == block.Page && other.Line < block.Line);
        return Example.Compile(block.Text, [.. earlier.Select(static other => other.Text)]);
    }
}
