using System.Collections.Immutable;
using System.Composition;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace GracefulConnections.CodeFixes;

/// <summary>Moves <c>UseGracefulShutdown()</c> in front of the statement that ends the pipeline.</summary>
[ExportCodeFixProvider(LanguageNames.CSharp)]
[Shared]
public sealed class PipelineOrderCodeFix : CodeFixProvider
{
    private const string Title = "Move UseGracefulShutdown() to the front";

    /// <inheritdoc/>
    public override ImmutableArray<string> FixableDiagnosticIds { get; } = ["GRACE001"];

    /// <inheritdoc/>
    public override FixAllProvider? GetFixAllProvider() => WellKnownFixAllProviders.BatchFixer;

    /// <inheritdoc/>
    public override async Task RegisterCodeFixesAsync(CodeFixContext context)
    {
        var root = await context.Document.GetSyntaxRootAsync(context.CancellationToken).ConfigureAwait(false);
        var call = root?.FindNode(context.Span).FirstAncestorOrSelf<InvocationExpressionSyntax>();
        if (root is null
            || call?.Expression is not MemberAccessExpressionSyntax { Expression: var receiver, Name: var name })
        {
            return;
        }

        var chain = Chain(receiver).ToArray();
        if (chain.Length > 0)
        {
            context.RegisterCodeFix(
                CodeAction.Create(Title, _ => Task.FromResult(Replace(MoveInChain())), Title), context.Diagnostics);
        }
        else if (call.Parent is ExpressionStatementSyntax { Parent: BlockSyntax block } statement
            && FirstOf(block, receiver) is { } first)
        {
            context.RegisterCodeFix(
                CodeAction.Create(Title, _ => Task.FromResult(Replace(MoveStatement(block, statement, first))), Title),
                context.Diagnostics);
        }

        Document Replace(SyntaxNode changed) => context.Document.WithSyntaxRoot(changed);

        // a.Run(x).UseGracefulShutdown() becomes a.UseGracefulShutdown().Run(x).
        SyntaxNode MoveInChain()
        {
            var start = ((MemberAccessExpressionSyntax)chain[chain.Length - 1].Expression).Expression;
            var moved = call.WithExpression(
                ((MemberAccessExpressionSyntax)call.Expression).WithExpression(start.WithoutTrailingTrivia()))
                .WithoutTrivia();
            var rest = receiver.ReplaceNode(start, moved.WithTriviaFrom(start));
            return root.ReplaceNode(call, rest.WithTriviaFrom(call));
        }

        SyntaxNode MoveStatement(BlockSyntax block, StatementSyntax statement, StatementSyntax first)
        {
            var others = block.Statements.Remove(statement);
            var position = others.IndexOf(others.First(one => one.IsEquivalentTo(first)));
            return root.ReplaceNode(block, block.WithStatements(others.Insert(position, statement)));
        }
    }

    private static IEnumerable<InvocationExpressionSyntax> Chain(ExpressionSyntax expression)
    {
        while (expression is InvocationExpressionSyntax
            {
                Expression: MemberAccessExpressionSyntax { Expression: var inner }
            } call)
        {
            yield return call;
            expression = inner;
        }
    }

    // In front of everything that is called on the variable, as the first middleware.
    private static StatementSyntax? FirstOf(BlockSyntax block, ExpressionSyntax variable) =>
        block.Statements.FirstOrDefault(statement =>
            statement is ExpressionStatementSyntax { Expression: var expression }
            && Root(expression).IsEquivalentTo(variable, topLevel: false));

    private static ExpressionSyntax Root(ExpressionSyntax expression) =>
        Chain(expression).LastOrDefault() is { Expression: MemberAccessExpressionSyntax access }
            ? access.Expression
            : expression;
}
