using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>Leaves the documentation of public members in a file, and removes the rest.</summary>
public class PublicDocumentation : Task
{
    // What stands before and behind a member's name in a list of the public API.
    private static readonly Regex Modifiers =
        new Regex("^(~|static |abstract |virtual |override |sealed |const |readonly )*");
    private static readonly Regex Behind = new Regex(@"(\(| -> | = |<|\.get\b|\.set\b|\.init\b).*$");

    // The same for an id of the compiler's documentation.
    private static readonly Regex Arguments = new Regex(@"(\(|``|~).*$");

    [Required]
    public string File { get; set; }

    [Required]
    public string[] PublicApi { get; set; }

    public override bool Execute()
    {
        var known = new HashSet<string>(PublicApi.SelectMany(System.IO.File.ReadAllLines).Select(ToName));
        var document = XDocument.Load(File, LoadOptions.PreserveWhitespace);
        var hidden = document.Descendants("member").Where(member => !known.Contains(ToName(member))).ToList();
        if (hidden.Count > 0)
        {
            foreach (var member in hidden)
            {
                // With the line break before it.
                (member.PreviousNode as XText)?.Remove();
                member.Remove();
            }

            document.Save(File, SaveOptions.DisableFormatting);
        }

        if (!document.Descendants("member").Any())
        {
            Log.LogError(
                $"{File} has no public member that is documented. The list of the public API has none of its names: "
                + "run the script that writes it.");
        }

        return !Log.HasLoggedErrors;
    }

    private static string ToName(string line) => Behind.Replace(Modifiers.Replace(line, ""), "");

    private static string ToName(XElement member)
    {
        var name = Arguments.Replace(member.Attribute("name").Value.Substring(2), "");
        var parts = name.Split('.');
        if (parts[parts.Length - 1] == "#ctor")
        {
            parts[parts.Length - 1] = parts[parts.Length - 2];
        }

        return string.Join(".", parts);
    }
}
