using System.Globalization;
using System.Reflection;

namespace GracefulConnections.Docs.Tests;

/// <summary>Every option stands in the documentation, with the default that the code has.</summary>
public class OptionTests
{
    private static readonly Page OptionsPage = Repository.Find("src/docs/options.md");

    private static readonly Type[] OptionTypes = [.. OptionsOf(typeof(GracefulCloseOptions).Assembly)];

    [Fact]
    public void Options_Each_StandsInARowOfAPage()
    {
        var names = Repository.Pages.SelectMany(static page => page.Rows("option")).Select(static row => row[0]).ToHashSet();
        Assert.NotEmpty(OptionTypes);
        Faults.AssertNone(
            from type in OptionTypes.Concat(OptionsOf(typeof(GracefulDashboardOptions).Assembly))
            from property in type.GetProperties()
            where !names.Contains($"`{property.Name}`")
            select $"{type.Name}.{property.Name}");
    }

    [Fact]
    public void OptionsPage_Defaults_AreThoseOfTheCode()
    {
        var differences = new List<string>();
        foreach (var type in OptionTypes)
        {
            var options = Activator.CreateInstance(type);
            var rows = RowsOf(type).ToDictionary(static row => row[0], static row => row[1]);
            Assert.NotEmpty(rows);
            differences.AddRange(
                from property in type.GetProperties()
                let spelled = Spell(property.GetValue(options))
                let name = $"`{property.Name}`"
                where rows.ContainsKey(name) && rows[name] != spelled
                select $"{type.Name}.{property.Name} is {spelled} in the code, and {rows[name]} on the page");
            differences.AddRange(
                from name in rows.Keys
                where type.GetProperty(name.Trim('`')) is null
                select $"{name} stands on the page, and {type.Name} has no such option");
        }

        Faults.AssertNone(differences);
    }

    private static IEnumerable<Type> OptionsOf(Assembly assembly) =>
        assembly.GetExportedTypes().Where(static type => type.Name.EndsWith("Options", StringComparison.Ordinal));

    // The rows between the heading that names the type and the next heading of the same level.
    private static IEnumerable<string[]> RowsOf(Type type)
    {
        var section = OptionsPage.Prose
            .SkipWhile(line => !(line.StartsWith("## ", StringComparison.Ordinal)
                && line.EndsWith($" {type.Name}", StringComparison.Ordinal)))
            .Skip(1)
            .TakeWhile(static line => !line.StartsWith("## ", StringComparison.Ordinal));
        return new Page("", "", []) { Prose = [.. section] }.Rows("option");
    }

    private static string Spell(object? value) => value switch
    {
        null => "none",
        bool flag => flag ? "true" : "false",
        TimeSpan time when time.TotalMinutes >= 1 => $"{time.TotalMinutes:0.##} min",
        TimeSpan time when time > TimeSpan.Zero && time.TotalSeconds < 1 => $"{time.TotalMilliseconds:0.##} ms",
        TimeSpan time => $"{time.TotalSeconds:0.##} s",
        int count when count >= 1024 => $"{count / 1024} KiB",
        Enum named => $"`{named}`",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };
}
