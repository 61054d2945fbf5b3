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
        else if (call.Parent is ExpressionStatementSyntax statement)
        {
            // At the top level of a program, another node stands around each statement.
            SyntaxNode place = statement.Parent is GlobalStatementSyntax global ? global : statement;
            if (FirstOf(place.Parent!, receiver) is { } first)
            {
                context.RegisterCodeFix(
                    CodeAction.Create(Title, _ => Task.FromResult(Replace(Move(place, first))), Title),
                    context.Diagnostics);
            }
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

        SyntaxNode Move(SyntaxNode statement, SyntaxNode first)
        {
            var tracked = root.TrackNodes(statement, first);
            tracked = tracked.InsertNodesBefore(tracked.GetCurrentNode(first)!, [statement]);
            return tracked.RemoveNode(tracked.GetCurrentNode(statement)!, SyntaxRemoveOptions.KeepNoTrivia)!;
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
    private static SyntaxNode? FirstOf(SyntaxNode parent, ExpressionSyntax variable) =>
        parent.ChildNodes().FirstOrDefault(node =>
            (node is GlobalStatementSyntax global ? global.Statement : node)
                is ExpressionStatementSyntax { Expression: var expression }
            && Root(expression).IsEquivalentTo(variable, topLevel: false));

    private static ExpressionSyntax Root(ExpressionSyntax expression) =>
        Chain(expression).LastOrDefault() is { Expression: MemberAccessExpressionSyntax access }
            ? access.Expression
            : expression;
}
