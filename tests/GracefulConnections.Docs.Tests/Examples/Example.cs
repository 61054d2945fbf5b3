using System.Collections.Immutable;
using System.Reflection.Metadata;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace GracefulConnections.Docs.Tests.Examples;

/// <summary>
/// Compiles a block of the documentation, as a reader would in a web project. A name that the block takes for granted,
/// such as <c>endpoint</c>, is declared for it. A type may be one of an earlier block of the page.
/// </summary>
internal static class Example
{
    private const int MostTries = 8;

    private static readonly CSharpParseOptions ParseOptions = new(LanguageVersion.Latest);

    private static readonly ImmutableArray<MetadataReference> References =
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!)
            .Split(Path.PathSeparator)
            .Select(static path => MetadataReference.CreateFromFile(path)),
    ];

    private static readonly SyntaxTree Usings = CSharpSyntaxTree.ParseText(
        string.Concat(Surroundings.Usings.Select(static name => $"global using {name};\n")), ParseOptions);

    /// <summary>Compiles a block.</summary>
    /// <param name="code">The block.</param>
    /// <param name="earlier">The blocks before it on its page.</param>
    /// <returns>The compilation, with errors where it does not compile.</returns>
    public static CSharpCompilation Compile(string code, params IReadOnlyCollection<string> earlier)
    {
        code = code.Replace("{ ... }", "{ }", StringComparison.Ordinal); // The reader's own code.
        var types = earlier.SelectMany(TypesOf).ToLookup(static type => type.Name, static type => type.Code);
        var declared = new HashSet<string>();
        for (var tries = 0; ; tries++)
        {
            var compilation = Compile(code, declared, types);
            var errors = Errors(compilation).ToList();
            var unknown = errors.SelectMany(MissingNames)
                .Where(name => Surroundings.Knows(name) || types.Contains(name))
                .SelectMany(Surroundings.WithWhatItNeeds)
                .Where(name => declared.Add(name))
                .ToList();
            if (unknown.Count == 0 || tries == MostTries)
            {
                return compilation;
            }
        }
    }

    public static IEnumerable<Diagnostic> Errors(CSharpCompilation compilation) =>
        compilation.GetDiagnostics().Where(static one => one.Severity == DiagnosticSeverity.Error);

    private static CSharpCompilation Compile(string code, HashSet<string> declared, ILookup<string, string> earlier)
    {
        var text = declared.Where(Surroundings.Types.ContainsKey).Select(static name => Surroundings.Types[name])
            .Concat(declared.Select(name => earlier[name].LastOrDefault() ?? ""));
        var types = CSharpSyntaxTree.ParseText(string.Join('\n', text), ParseOptions);
        var tree = CSharpSyntaxTree.ParseText(code, ParseOptions);
        var root = tree.GetCompilationUnitRoot();
        var isProgram = root.Members.Any(static member => member is GlobalStatementSyntax);
        if (isProgram)
        {
            var prelude = string.Concat(Surroundings.Values
                .Where(value => declared.Contains(value.Name))
                .Select(static value => $"{value.Code}\n"));
            var at = root.Usings.FullSpan.End;
            tree = CSharpSyntaxTree.ParseText($"{code[..at]}\n{prelude}\n{code[at..]}", ParseOptions);
        }

        return CSharpCompilation.Create(
            "Example",
            [Usings, types, tree],
            References,
            new CSharpCompilationOptions(
                isProgram ? OutputKind.ConsoleApplication : OutputKind.DynamicallyLinkedLibrary,
                nullableContextOptions: NullableContextOptions.Enable));
    }

    // CS0103 and CS0246: a name, or a type, that does not exist.
    private static IEnumerable<string> MissingNames(Diagnostic error)
    {
        var name = error.Location.SourceTree?.GetText().ToString(error.Location.SourceSpan) ?? "";
        return error.Id is "CS0103" or "CS0246" ? [name.Split('<')[0]] : [];
    }

    private static IEnumerable<(string Name, string Code)> TypesOf(string code) =>
        CSharpSyntaxTree.ParseText(code, ParseOptions).GetCompilationUnitRoot().Members
            .OfType<BaseTypeDeclarationSyntax>()
            .Select(static type => (type.Identifier.Text, type.ToFullString()));
}
