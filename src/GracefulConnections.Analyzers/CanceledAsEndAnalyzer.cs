using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Diagnostics;

namespace GracefulConnections.Analyzers;

/// <summary>Finds <c>IsCompleted || IsCanceled</c> of one <c>ReadResult</c>.</summary>
/// <remarks>
/// A condition on <c>IsCanceled</c> alone is somebody's own cancellation, and none of the rule's. So is one whose
/// statement looks at <c>IsCanceled</c> a second time, to tell the two apart.
/// </remarks>
[DiagnosticAnalyzer(LanguageNames.CSharp)]
public sealed class CanceledAsEndAnalyzer : DiagnosticAnalyzer
{
    /// <inheritdoc/>
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } = [Rules.CanceledAsEnd];

    /// <inheritdoc/>
    public override void Initialize(AnalysisContext context)
    {
        context.EnableConcurrentExecution();
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.RegisterSyntaxNodeAction(Analyze, SyntaxKind.LogicalOrExpression);
    }

    private static void Analyze(SyntaxNodeAnalysisContext context)
    {
        var either = (BinaryExpressionSyntax)context.Node;
        if (either.Parent.IsKind(SyntaxKind.LogicalOrExpression))
        {
            return; // The outermost one sees all of its parts.
        }

        var parts = Parts(either).OfType<MemberAccessExpressionSyntax>().Where(IsOfReadResult).ToArray();
        foreach (var canceled in parts.Where(static part => part.Name.Identifier.ValueText == "IsCanceled"))
        {
            var isPair = parts.Any(part => part.Name.Identifier.ValueText == "IsCompleted"
                && SyntaxFactory.AreEquivalent(part.Expression, canceled.Expression));
            if (isPair && !IsToldApart(either, canceled))
            {
                context.ReportDiagnostic(Diagnostic.Create(Rules.CanceledAsEnd, canceled.GetLocation()));
            }
        }

        bool IsOfReadResult(MemberAccessExpressionSyntax access) =>
            context.SemanticModel.GetTypeInfo(access.Expression, context.CancellationToken).Type
                is { Name: "ReadResult", ContainingNamespace.Name: "Pipelines" };
    }

    private static bool IsToldApart(ExpressionSyntax either, MemberAccessExpressionSyntax canceled) =>
        either.FirstAncestorOrSelf<StatementSyntax>()?.DescendantNodes().OfType<MemberAccessExpressionSyntax>()
            .Any(other => !either.Contains(other) && SyntaxFactory.AreEquivalent(other, canceled)) == true;

    private static IEnumerable<ExpressionSyntax> Parts(ExpressionSyntax expression) =>
        expression is BinaryExpressionSyntax { RawKind: (int)SyntaxKind.LogicalOrExpression } or
            ? Parts(or.Left).Concat(Parts(or.Right))
            : [expression];
}
