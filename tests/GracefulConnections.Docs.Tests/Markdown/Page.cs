using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace GracefulConnections.Docs.Tests.Markdown;

/// <summary>A page: its text, its headings, its links and its code.</summary>
internal sealed partial record Page(string Path, string Text, IReadOnlyList<CodeBlock> Code)
{
    private const string Fence = "```";

    /// <summary>Gets the lines that are no code.</summary>
    public required IReadOnlyList<string> Prose { get; init; }

    /// <summary>Gets where links can lead to inside of the page.</summary>
    public IEnumerable<string> Anchors =>
        Prose.Where(static line => line.StartsWith('#')).Select(static line => ToAnchor(line.TrimStart('#').Trim()));

    /// <summary>Gets the targets of all links.</summary>
    public IEnumerable<string> Links =>
        Prose.SelectMany(static line => Link().Matches(CodeSpan().Replace(line, "code")))
            .Select(static match => match.Groups["target"].Value);

    public static Page Read(string path)
    {
        var text = File.ReadAllText(System.IO.Path.Combine(Repository.Root, path));
        var lines = text.Split('\n');
        var prose = new List<string>();
        var code = new List<CodeBlock>();
        for (var i = 0; i < lines.Length; i++)
        {
            if (!lines[i].StartsWith(Fence, StringComparison.Ordinal))
            {
                prose.Add(lines[i]);
                continue;
            }

            var end = Array.IndexOf(lines, Fence, i + 1);
            Assert.True(end > i, $"{path}:{i + 1} opens a block of code that nothing closes.");
            code.Add(new CodeBlock(path, i + 2, lines[i][Fence.Length..].Trim(), string.Join('\n', lines[(i + 1)..end])));
            i = end;
        }

        return new Page(path, text, code) { Prose = prose };
    }

    /// <summary>Returns the rows of the tables in which a column has this heading.</summary>
    public IEnumerable<string[]> Rows(string heading)
    {
        for (var i = 0; i < Prose.Count; i++)
        {
            if (!Cells(Prose[i]).Contains(heading))
            {
                continue;
            }

            for (i += 2; i < Prose.Count && Prose[i].StartsWith('|'); i++)
            {
                yield return Cells(Prose[i]);
            }
        }
    }

    public override string ToString() => Path;

    private static string[] Cells(string line) =>
        line.StartsWith('|') ? line.Trim('|').Split('|', StringSplitOptions.TrimEntries) : [];

    // As GitHub does it: lower case, no punctuation, hyphens for spaces.
    private static string ToAnchor(string heading)
    {
        var anchor = new StringBuilder();
        foreach (var letter in heading.ToLower(CultureInfo.InvariantCulture))
        {
            if (char.IsLetterOrDigit(letter) || letter is '-' or '_')
            {
                anchor.Append(letter);
            }
            else if (letter == ' ')
            {
                anchor.Append('-');
            }
        }

        return anchor.ToString();
    }

    [GeneratedRegex(@"\[[^\]]*\]\((?<target>[^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex("`[^`]*`")]
    private static partial Regex CodeSpan();
}
