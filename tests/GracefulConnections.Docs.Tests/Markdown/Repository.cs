using System.Runtime.CompilerServices;

namespace GracefulConnections.Docs.Tests.Markdown;

/// <summary>The files that people read.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    /// <summary>Gets the README, every page of the documentation, and what else stands at the root for people.</summary>
    public static IReadOnlyList<Page> Pages { get; } =
    [
        .. Directory.EnumerateFiles(Root, "*.md")
            .Concat(Directory.EnumerateFiles(Path.Combine(Root, "src", "docs"), "*.md"))
            .Order(StringComparer.Ordinal)
            .Select(static path => Markdown.Page.Read(Path.GetRelativePath(Root, path))),
    ];

    public static Page Find(string path) => Pages.Single(page => page.Path == path);

    /// <summary>Enumerates the code of the packages.</summary>
    public static IEnumerable<string> SourceFiles() =>
        Directory.EnumerateFiles(Path.Combine(Root, "src"), "*.cs", SearchOption.AllDirectories)
            .Where(static path => !path.Split(Path.DirectorySeparatorChar).Any(static part => part is "bin" or "obj"));

    private static string FindRoot([CallerFilePath] string thisFile = "") =>
        Path.GetFullPath(Path.Combine(Path.GetDirectoryName(thisFile)!, "..", "..", ".."));
}
