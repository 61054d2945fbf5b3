using System.Collections.Immutable;
using System.Composition;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace GracefulConnections.CodeFixes;

/// <summary>Takes <c>IsCanceled</c> out of the condition.</summary>
[ExportCodeFixProvider(LanguageNames.CSharp)]
[Shared]
public sealed class CanceledAsEndCodeFix : CodeFixProvider
{
    private const string Title = "Look at IsCompleted only";

    /// <inheritdoc/>
    public override ImmutableArray<string> FixableDiagnosticIds { get; } = ["GRACE004"];

    /// <inheritdoc/>
    public override FixAllProvider? GetFixAllProvider() => WellKnownFixAllProviders.BatchFixer;

    /// <inheritdoc/>
    public override async Task RegisterCodeFixesAsync(CodeFixContext context)
    {
        var root = await context.Document.GetSyntaxRootAsync(context.CancellationToken).ConfigureAwait(false);
        var part = root?.FindNode(context.Span, getInnermostNodeForTie: true);
        if (root is null || part?.Parent is not BinaryExpressionSyntax either)
        {
            return;
        }

        context.RegisterCodeFix(
            CodeAction.Create(
                Title,
                _ =>
                {
                    var kept = (either.Left == part ? either.Right : either.Left).WithTriviaFrom(either);
                    return Task.FromResult(context.Document.WithSyntaxRoot(root.ReplaceNode(either, kept)));
                },
                Title),
            context.Diagnostics);
    }
}
