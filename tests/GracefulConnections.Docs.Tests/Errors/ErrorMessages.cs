using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace GracefulConnections.Docs.Tests.Errors;

/// <summary>Collects the messages of exceptions that tell a person what to change.</summary>
internal static class ErrorMessages
{
    // Those that tell of the network or of an abort are no advice: their receiver can do nothing about it.
    private static readonly string[] Types =
    [
        "ArgumentException", "ArgumentOutOfRangeException", "InvalidOperationException", "ObjectDisposedException",
        "NotSupportedException", "TimeoutException", "UnauthorizedAccessException", "AddressInUseException",
        "OptionsValidationException", "IOException", "SocketException", "FormatException",
    ];

    private static readonly Dictionary<string, SyntaxNode> Roots = Repository.SourceFiles().Order().ToDictionary(
        static path => Path.GetRelativePath(Repository.Root, path),
        static SyntaxNode (path) => CSharpSyntaxTree.ParseText(File.ReadAllText(path)).GetRoot());

    private static readonly ILookup<string, ExpressionSyntax?> Constants = Roots.Values
        .SelectMany(static root => root.DescendantNodes().OfType<FieldDeclarationSyntax>())
        .Where(static field => field.Modifiers.Any(SyntaxKind.ConstKeyword))
        .SelectMany(static field => field.Declaration.Variables)
        .ToLookup(static variable => variable.Identifier.Text, static variable => variable.Initializer?.Value);

    /// <summary>Reads all of them, and the failures that validators of options add.</summary>
    public static IReadOnlyList<ErrorMessage> Read() =>
        [.. Roots.SelectMany(static file => Read(file.Key, file.Value))];

    private static IEnumerable<ErrorMessage> Read(string path, SyntaxNode root)
    {
        var arguments = root.DescendantNodes().OfType<ObjectCreationExpressionSyntax>()
            .Where(static creation => Types.Contains($"{creation.Type}".Split('.')[^1]))
            .Select(static creation => creation.ArgumentList)
            .Concat(root.DescendantNodes().OfType<InvocationExpressionSyntax>()
                .Where(static call => call.Expression is MemberAccessExpressionSyntax { Name.Identifier.Text: "AddError" })
                .Select(static call => call.ArgumentList));
        foreach (var argument in arguments.SelectMany(static list => list?.Arguments ?? []))
        {
            var text = Spell(argument.Expression);
            if (text.Contains(' ', StringComparison.Ordinal))
            {
                var line = argument.GetLocation().GetLineSpan().StartLinePosition.Line + 1;
                yield return new ErrorMessage(path, line, text);
            }
        }
    }

    private static string Spell(ExpressionSyntax? expression) => expression switch
    {
        LiteralExpressionSyntax { Token.Value: string text } => text,
        InterpolatedStringExpressionSyntax text => string.Concat(text.Contents.Select(Spell)),
        BinaryExpressionSyntax { RawKind: (int)SyntaxKind.AddExpression } sum => Spell(sum.Left) + Spell(sum.Right),
        ParenthesizedExpressionSyntax inner => Spell(inner.Expression),
        ConditionalExpressionSyntax either => Spell(either.WhenTrue),
        InvocationExpressionSyntax { Expression: IdentifierNameSyntax { Identifier.Text: "nameof" } } => "",
        InvocationExpressionSyntax { ArgumentList.Arguments: [.., var last] } => Spell(last.Expression),
        IdentifierNameSyntax name => Spell(Constants[name.Identifier.Text].FirstOrDefault()),
        MemberAccessExpressionSyntax member => Spell(Constants[member.Name.Identifier.Text].FirstOrDefault()),
        _ => "",
    };

    private static string Spell(InterpolatedStringContentSyntax content) => content switch
    {
        InterpolatedStringTextSyntax text => text.TextToken.ValueText,
        InterpolationSyntax hole when Spell(hole.Expression) is { Length: > 0 } text => text,
        _ => "{}",
    };
}
