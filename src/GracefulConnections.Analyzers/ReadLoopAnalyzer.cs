using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;

namespace GracefulConnections.Analyzers;

/// <summary>Finds a loop that catches the cancellation of its read and reads on.</summary>
/// <remarks>
/// Only reads of a <c>PipeReader</c>, which is what a connection's handler reads from, and of the stream that its
/// <c>AsStream()</c> makes. A catch that leaves the loop on any path, that has a filter, or that keeps something in a
/// variable for a later look is left alone.
/// </remarks>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class ReadLoopAnalyzer : DiagnosticAnalyzer
{
    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } = [Rules.SwallowedCancellation];

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.EnableConcurrentExecution();
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.RegisterSyntaxNodeAction(Analyze, SyntaxKind.TryStatement);
    }

    private static void Analyze(SyntaxNodeAnalysisContext context)
    {
        var statement = (TryStatementSyntax)context.Node;
        if (statement.Catches.Count == 0
            || EnclosingLoop(statement) is not { } loop
            || !Calls(statement.Block).Any(IsRead)
            || Catcher() is not { } catcher
            || catcher.Filter is not null
            || Leaves(catcher.Block)
            || LeavesLater(statement, catcher)
            || !GoesOn(loop))
        {
            return;
        }

        context.ReportDiagnostic(Diagnostic.Create(
            Rules.SwallowedCancellation, catcher.Declaration?.GetLocation() ?? catcher.CatchKeyword.GetLocation()));

        // The first one that takes the exception is the one that gets it.
        CatchClauseSyntax? Catcher() => statement.Catches.FirstOrDefault(clause =>
            clause.Declaration is null
            || (context.SemanticModel.GetTypeInfo(clause.Declaration.Type, context.CancellationToken).Type
                is { ContainingNamespace.Name: "System" } type
                && type.Name is "OperationCanceledException" or "SystemException" or "Exception"));

        bool IsRead(InvocationExpressionSyntax call) =>
            KnownCalls.GetName(call) is "ReadAsync" or "ReadAtLeastAsync" or "ReadExactlyAsync"
            && !UsesOwnToken(call)
            && call.Expression is MemberAccessExpressionSyntax { Expression: var receiver }
            && IsConnectionInput(receiver);

        bool IsConnectionInput(ExpressionSyntax receiver)
        {
            var type = context.SemanticModel.GetTypeInfo(receiver, context.CancellationToken).Type;
            for (var each = type; each is not null; each = each.BaseType)
            {
                if (each is { Name: "PipeReader", ContainingNamespace.Name: "Pipelines" })
                {
                    return true;
                }
            }

            return context.SemanticModel.GetSymbolInfo(receiver, context.CancellationToken).Symbol is ILocalSymbol local
                && local.DeclaringSyntaxReferences.FirstOrDefault()?.GetSyntax(context.CancellationToken)
                    is VariableDeclaratorSyntax { Initializer.Value: InvocationExpressionSyntax made }
                && KnownCalls.GetName(made) == "AsStream"
                && made.Expression is MemberAccessExpressionSyntax { Expression: var source }
                && IsConnectionInput(source);
        }

        // Another token may have timed out, which is a reason to read on. The loop's condition sees the connection's.
        static bool UsesOwnToken(InvocationExpressionSyntax call) =>
            call.ArgumentList.Arguments.Any(static argument =>
                argument.Expression is MemberAccessExpressionSyntax { Name.Identifier.ValueText: "Token" });
    }

    private static StatementSyntax? EnclosingLoop(SyntaxNode node)
    {
        foreach (var ancestor in node.Ancestors())
        {
            switch (ancestor)
            {
                case WhileStatementSyntax or DoStatementSyntax or ForStatementSyntax or CommonForEachStatementSyntax:
                    return (StatementSyntax)ancestor;
                case AnonymousFunctionExpressionSyntax or LocalFunctionStatementSyntax or MemberDeclarationSyntax:
                    return null;
            }
        }

        return null;
    }

    // A condition may look at the connection, and then the loop ends by itself.
    private static bool GoesOn(StatementSyntax loop) => loop switch
    {
        WhileStatementSyntax { Condition: var condition } => IsAlways(condition),
        DoStatementSyntax { Condition: var condition } => IsAlways(condition),
        ForStatementSyntax { Condition: var condition } => condition is null || IsAlways(condition),
        _ => false,
    };

    private static bool IsAlways(ExpressionSyntax condition) => condition.IsKind(SyntaxKind.TrueLiteralExpression);

    private static bool Leaves(StatementSyntax statement) =>
        statement.DescendantNodesAndSelf(IsSameFunction).Any(static node =>
            node is BreakStatementSyntax or ReturnStatementSyntax or ThrowStatementSyntax or ThrowExpressionSyntax
                or GotoStatementSyntax or YieldStatementSyntax);

    // The catch keeps something in a variable, or what comes behind it decides whether the loop goes on.
    private static bool LeavesLater(TryStatementSyntax statement, CatchClauseSyntax catcher) =>
        catcher.Block.DescendantNodes(IsSameFunction).Any(static node => node is AssignmentExpressionSyntax)
        || (catcher.Block.Statements.LastOrDefault() is not ContinueStatementSyntax
            && statement.Parent is BlockSyntax block
            && block.Statements.SkipWhile(one => one != statement).Skip(1).Any(Leaves));

    private static IEnumerable<InvocationExpressionSyntax> Calls(BlockSyntax block) =>
        block.DescendantNodes(IsSameFunction).OfType<InvocationExpressionSyntax>();

    private static bool IsSameFunction(SyntaxNode node) =>
        node is not (AnonymousFunctionExpressionSyntax or LocalFunctionStatementSyntax);
}
