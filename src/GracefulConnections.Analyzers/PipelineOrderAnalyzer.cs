using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;

namespace GracefulConnections.Analyzers;

/// <summary>Finds <c>UseGracefulShutdown()</c> behind what ends the pipeline.</summary>
/// <remarks>
/// Two shapes are seen: one chain of calls, and statements of one block that call the same variable. Everything else
/// is left to the check at start.
/// </remarks>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class PipelineOrderAnalyzer : DiagnosticAnalyzer
{
    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } = [Rules.BehindTerminal];

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.EnableConcurrentExecution();
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.RegisterSyntaxNodeAction(Analyze, SyntaxKind.InvocationExpression);
    }

    private static void Analyze(SyntaxNodeAnalysisContext context)
    {
        var call = (InvocationExpressionSyntax)context.Node;
        if (call.Expression is not MemberAccessExpressionSyntax { Expression: var receiver, Name: var name }
            || name.Identifier.ValueText != KnownCalls.UseGracefulShutdown
            || Symbol(call) is not { } method
            || !KnownCalls.IsLibrary(method, KnownCalls.UseGracefulShutdown))
        {
            return;
        }

        var terminal = InChain(receiver) ?? (Root(receiver) is IdentifierNameSyntax variable ? Before(variable) : null);
        if (terminal is not null)
        {
            context.ReportDiagnostic(Diagnostic.Create(Rules.BehindTerminal, name.GetLocation(), terminal.Name));
        }

        IMethodSymbol? Symbol(InvocationExpressionSyntax invocation) =>
            context.SemanticModel.GetSymbolInfo(invocation, context.CancellationToken).Symbol as IMethodSymbol;

        // listen.Run(...).UseGracefulShutdown()
        IMethodSymbol? InChain(ExpressionSyntax? expression)
        {
            while (expression is InvocationExpressionSyntax invocation)
            {
                if (Symbol(invocation) is { } called && KnownCalls.IsTerminal(called))
                {
                    return called;
                }

                expression = (invocation.Expression as MemberAccessExpressionSyntax)?.Expression;
            }

            return null;
        }

        // listen.Run(...); listen.UseGracefulShutdown();
        IMethodSymbol? Before(IdentifierNameSyntax variable)
        {
            if (context.SemanticModel.GetSymbolInfo(variable, context.CancellationToken).Symbol is not { } symbol
                || context.SemanticModel.GetTypeInfo(variable, context.CancellationToken).Type is not { } type
                || !KnownCalls.IsConnectionBuilder(type) // Each call on it may make another endpoint.
                || call.FirstAncestorOrSelf<StatementSyntax>() is not { } statement)
            {
                return null;
            }

            SyntaxNode place = statement.Parent is GlobalStatementSyntax global ? global : statement;
            IMethodSymbol? found = null;
            foreach (var earlier in place.Parent!.ChildNodes().TakeWhile(one => one != place))
            {
                var before = earlier is GlobalStatementSyntax { Statement: var topLevel } ? topLevel : earlier;
                if (before is ExpressionStatementSyntax { Expression: var expression }
                    && Root(expression) is IdentifierNameSyntax other
                    && other.Identifier.ValueText == variable.Identifier.ValueText
                    && InChain(Awaited(expression)) is { } called
                    && SymbolEqualityComparer.Default.Equals(
                        symbol, context.SemanticModel.GetSymbolInfo(other, context.CancellationToken).Symbol))
                {
                    found = called;
                }
                else if (Assigns(before, variable.Identifier.ValueText))
                {
                    found = null; // It is another endpoint from here on.
                }
            }

            return found;
        }
    }

    private static bool Assigns(SyntaxNode statement, string name) =>
        statement.DescendantNodes().Any(node => node switch
        {
            AssignmentExpressionSyntax { Left: IdentifierNameSyntax left } => left.Identifier.ValueText == name,
            ArgumentSyntax { Expression: IdentifierNameSyntax passed } argument =>
                !argument.RefKindKeyword.IsKind(SyntaxKind.None) && passed.Identifier.ValueText == name,
            _ => false,
        });

    private static ExpressionSyntax Awaited(ExpressionSyntax expression) =>
        expression is AwaitExpressionSyntax { Expression: var awaited } ? awaited : expression;

    /// <summary>Returns what a chain of calls begins with.</summary>
    private static ExpressionSyntax Root(ExpressionSyntax expression)
    {
        expression = Awaited(expression);
        while (expression is InvocationExpressionSyntax
            {
                Expression: MemberAccessExpressionSyntax { Expression: var inner }
            })
        {
            expression = inner;
        }

        return expression;
    }
}
