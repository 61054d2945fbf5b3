using System;
using System.IO;
using System.Text.RegularExpressions;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>Makes a package's readme and its release notes, whose readers have no clone of the repository.</summary>
public class PackageTexts : Task
{
    private static readonly Regex RelativeLink = new Regex(@"\[(?<text>[^\]]*)\]\((?!https?:|#)(?<path>[^)\s]+)\)");

    [Required]
    public string Source { get; set; }

    [Required]
    public string Target { get; set; }

    [Required]
    public string Changelog { get; set; }

    [Required]
    public string Version { get; set; }

    public string RepositoryUrl { get; set; }

    [Output]
    public string ReleaseNotes { get; set; }

    public override bool Execute()
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Target));
        var readme = MakeAbsolute(File.ReadAllText(Source));
        if (!File.Exists(Target) || File.ReadAllText(Target) != readme)
        {
            File.WriteAllText(Target, readme);
        }

        ReleaseNotes = MakeAbsolute(FindNotes(File.ReadAllText(Changelog))).Trim();
        return true;
    }

    private string MakeAbsolute(string text) => RelativeLink.Replace(
        text,
        link => string.IsNullOrEmpty(RepositoryUrl)
            ? link.Groups["text"].Value
            : $"[{link.Groups["text"].Value}]"
                + $"({RepositoryUrl.TrimEnd('/')}/blob/v{Version}/{link.Groups["path"].Value})");

    // The section of this version, or that of the next one.
    private string FindNotes(string changelog)
    {
        foreach (var heading in new[] { "## " + Version, "## Unreleased" })
        {
            var section = Regex.Match(
                changelog,
                "^" + Regex.Escape(heading) + @"\b[^\n]*\n(?<text>.*?)(?=^## |\z)",
                RegexOptions.Multiline | RegexOptions.Singleline);
            if (section.Success)
            {
                return section.Groups["text"].Value;
            }
        }

        throw new InvalidOperationException(
            $"{Changelog} has no section for {Version}, and must have one. Write it, or call it Unreleased.");
    }
}
