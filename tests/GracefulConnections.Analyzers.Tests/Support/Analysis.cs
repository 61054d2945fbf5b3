using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Text;

namespace GracefulConnections.Analyzers.Tests.Support;

/// <summary>Compiles source against what this program runs on, and asks the analyzers about it.</summary>
internal static class Analysis
{
    // A partial method without a body: what a source generator writes, and none runs here.
    private const string NoBody = "CS8795";

    private const string Usings = """
        global using System;
        global using System.Collections.Generic;
        global using System.IO;
        global using System.Linq;
        global using System.Net;
        global using System.Threading;
        global using System.Threading.Tasks;
        global using Microsoft.AspNetCore.Builder;
        global using Microsoft.AspNetCore.Hosting;
        global using Microsoft.AspNetCore.Http;
        global using Microsoft.AspNetCore.Routing;
        global using Microsoft.Extensions.Configuration;
        global using Microsoft.Extensions.DependencyInjection;
        global using Microsoft.Extensions.Hosting;
        global using Microsoft.Extensions.Logging;
        """;

    public static ImmutableArray<DiagnosticAnalyzer> Analyzers { get; } =
    [
        new PipelineOrderAnalyzer(),
        new NothingToDrainAnalyzer(),
        new ReadLoopAnalyzer(),
        new CanceledAsEndAnalyzer(),
    ];

    private static IEnumerable<MetadataReference> References { get; } =
        [.. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!)
            .Split(Path.PathSeparator)
            .Where(static path => Path.GetExtension(path) == ".dll")
            .Select(static path => MetadataReference.CreateFromFile(path))];

    /// <summary>Compiles a program and returns what the analyzers say. The program itself must be right.</summary>
    public static async Task<ImmutableArray<Diagnostic>> GetAsync(
        IEnumerable<string> sources, OutputKind kind = OutputKind.ConsoleApplication)
    {
        var compilation = CSharpCompilation.Create(
            "Program",
            sources.Prepend(Usings).Select(static source => CSharpSyntaxTree.ParseText(
                SourceText.From(source), new CSharpParseOptions(LanguageVersion.Latest))),
            References,
            new CSharpCompilationOptions(kind, nullableContextOptions: NullableContextOptions.Enable));
        Assert.Empty(compilation.GetDiagnostics().Where(static one =>
            one.Severity == DiagnosticSeverity.Error && one.Id != NoBody));
        return await compilation.WithAnalyzers(Analyzers).GetAnalyzerDiagnosticsAsync();
    }

    /// <summary>Applies the first fix for the first diagnostic that it fixes, and returns the new source.</summary>
    public static async Task<string> FixAsync(string source, CodeFixProvider fix)
    {
        var found = (await GetAsync([source])).First(one => fix.FixableDiagnosticIds.Contains(one.Id));
        using var workspace = new AdhocWorkspace();
        var document = workspace.AddProject("Program", LanguageNames.CSharp).AddDocument("Program.cs", source);
        CodeAction? action = null;
        await fix.RegisterCodeFixesAsync(new CodeFixContext(
            document,
            Diagnostic.Create(found.Descriptor, Location.Create(
                (await document.GetSyntaxTreeAsync())!, found.Location.SourceSpan)),
            (offered, _) => action ??= offered,
            CancellationToken.None));
        Assert.NotNull(action);
        var operation = Assert.Single((await action.GetOperationsAsync(CancellationToken.None)).OfType<ApplyChangesOperation>());
        var changed = await operation.ChangedSolution.GetDocument(document.Id)!.GetTextAsync();

        // What a fix makes must compile, and be right.
        Assert.DoesNotContain(await GetAsync([changed.ToString()]), one => one.Id == found.Id);
        return changed.ToString();
    }

    /// <summary>Returns the source with its marked part, and where it is: what stands between [| and |].</summary>
    public static (string Source, TextSpan Span) Unmark(string marked)
    {
        var start = marked.IndexOf("[|", StringComparison.Ordinal);
        var end = marked.IndexOf("|]", StringComparison.Ordinal) - 2;
        return (marked.Replace("[|", "").Replace("|]", ""), TextSpan.FromBounds(start, end));
    }

    /// <summary>Asserts that exactly the marked part is flagged, by one rule.</summary>
    public static async Task AssertFlagsAsync(string id, string marked)
    {
        var (source, span) = Unmark(marked);
        var found = Assert.Single(await GetAsync([source]));
        Assert.Equal(id, found.Id);
        Assert.Equal(span, found.Location.SourceSpan);
    }

    /// <summary>Asserts that nothing is flagged.</summary>
    public static async Task AssertSilentAsync(string source, OutputKind kind = OutputKind.ConsoleApplication) =>
        Assert.Empty(await GetAsync([source], kind));
}
