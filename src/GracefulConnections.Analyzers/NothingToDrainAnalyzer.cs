using System.Collections.Concurrent;
using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;

namespace GracefulConnections.Analyzers;

/// <summary>Finds a drain in a program that closes no connection gracefully.</summary>
/// <remarks>Only in a program: what a library registers, its user completes.</remarks>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class NothingToDrainAnalyzer : DiagnosticAnalyzer
{
    private const string Library = "GracefulConnections";

    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } = [Rules.NothingToDrain];

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.EnableConcurrentExecution();
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.Analyze);
        context.RegisterCompilationStartAction(Start);
    }

    private static void Start(CompilationStartAnalysisContext context)
    {
        if (context.Compilation.Options.OutputKind
            is not (OutputKind.ConsoleApplication or OutputKind.WindowsApplication))
        {
            return;
        }

        var drains = new ConcurrentBag<Location>();
        var closes = new ConcurrentBag<string>();
        context.RegisterSyntaxNodeAction(
            node =>
            {
                // By name first, because the name of every call costs little and its symbol does not.
                var name = KnownCalls.GetName((InvocationExpressionSyntax)node.Node);
                if (name is KnownCalls.UseGracefulShutdown or KnownCalls.RunGracefully)
                {
                    closes.Add(name);
                }
                else if (name == KnownCalls.AddGracefulShutdown
                    && node.SemanticModel.GetSymbolInfo(node.Node, node.CancellationToken).Symbol
                        is IMethodSymbol method
                    && KnownCalls.IsLibrary(method, name))
                {
                    drains.Add(node.Node.GetLocation());
                }
            },
            SyntaxKind.InvocationExpression);
        context.RegisterSyntaxNodeAction(
            node =>
            {
                // As a method group: ConfigureEndpointDefaults(Graceful.UseGracefulShutdown).
                if (KnownCalls.BringsConnections(((SimpleNameSyntax)node.Node).Identifier.ValueText))
                {
                    closes.Add(KnownCalls.UseGracefulShutdown);
                }
            },
            SyntaxKind.IdentifierName);
        context.RegisterCompilationEndAction(end =>
        {
            if (closes.IsEmpty && !UsesAnotherOfOurs(end.Compilation))
            {
                foreach (var location in drains)
                {
                    end.ReportDiagnostic(Diagnostic.Create(Rules.NothingToDrain, location));
                }
            }
        });
    }

    // A project that this one refers to, and that knows the library, may configure the endpoints. The library's other
    // packages do not.
    private static bool UsesAnotherOfOurs(Compilation compilation) => compilation.SourceModule.ReferencedAssemblySymbols
        .Where(static assembly => !assembly.Name.StartsWith(Library, StringComparison.Ordinal))
        .Any(static assembly => assembly.Modules.Any(static module =>
            module.ReferencedAssemblies.Any(static reference => reference.Name == Library)));
}
