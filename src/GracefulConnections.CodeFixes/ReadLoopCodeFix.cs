using System.Collections.Immutable;
using System.Composition;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Formatting;

namespace GracefulConnections.CodeFixes;

/// <summary>Leaves the loop at the end of the catch.</summary>
[ExportCodeFixProvider(LanguageNames.CSharp)]
[Shared]
public sealed class ReadLoopCodeFix : CodeFixProvider
{
    private const string Title = "Leave the loop";

    /// <inheritdoc/>
    public override ImmutableArray<string> FixableDiagnosticIds { get; } = ["GRACE003"];

    /// <inheritdoc/>
    public override FixAllProvider? GetFixAllProvider() => WellKnownFixAllProviders.BatchFixer;

    /// <inheritdoc/>
    public override async Task RegisterCodeFixesAsync(CodeFixContext context)
    {
        var root = await context.Document.GetSyntaxRootAsync(context.CancellationToken).ConfigureAwait(false);
        if (root?.FindNode(context.Span).FirstAncestorOrSelf<CatchClauseSyntax>() is not { } clause
            || IsInsideSwitch(clause))
        {
            return;
        }

        context.RegisterCodeFix(
            CodeAction.Create(
                Title,
                _ =>
                {
                    var statements = clause.Block.Statements;
                    if (statements.LastOrDefault() is ContinueStatementSyntax)
                    {
                        statements = statements.RemoveAt(statements.Count - 1);
                    }

                    var left = clause.Block.WithStatements(statements.Add(SyntaxFactory.BreakStatement()));
                    var changed = root.ReplaceNode(clause.Block, left.WithAdditionalAnnotations(Formatter.Annotation));
                    return Task.FromResult(context.Document.WithSyntaxRoot(changed));
                },
                Title),
            context.Diagnostics);
    }

    // A break there leaves the switch, and not the loop around it.
    private static bool IsInsideSwitch(SyntaxNode node) =>
        node.Ancestors().FirstOrDefault(static ancestor => ancestor is SwitchStatementSyntax or WhileStatementSyntax
            or DoStatementSyntax or ForStatementSyntax or CommonForEachStatementSyntax) is SwitchStatementSyntax;
}
