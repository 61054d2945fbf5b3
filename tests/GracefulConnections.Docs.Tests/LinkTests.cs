namespace GracefulConnections.Docs.Tests;

/// <summary>Every link leads to something.</summary>
public class LinkTests
{
    [Fact]
    public void Links_ToFilesAndHeadings_Resolve() => Faults.AssertNone(
        from page in Repository.Pages
        from link in page.Links
        where !link.Contains("://", StringComparison.Ordinal)
        let fault = FindFault(page, link)
        where fault is not null
        select $"{page}: {link} {fault}");

    [Fact]
    public void Pages_Each_IsLinkedToFromTheReadme()
    {
        var linked = Repository.Find("README.md").Links.Select(static link => link.Split('#')[0]).ToHashSet();
        Faults.AssertNone(
            from page in Repository.Pages
            where page.Path != "README.md" && !linked.Contains(page.Path)
            select $"{page}");
    }

    private static string? FindFault(Page page, string link)
    {
        var parts = link.Split('#', 2);
        var folder = Path.GetDirectoryName(page.Path) ?? "";
        var path = parts[0].Length == 0
            ? page.Path
            : Path.GetRelativePath(Repository.Root, Path.GetFullPath(Path.Combine(Repository.Root, folder, parts[0])));
        if (!Path.Exists(Path.Combine(Repository.Root, path)))
        {
            return "does not exist";
        }

        return parts.Length < 2 || Repository.Pages.Single(other => other.Path == path).Anchors.Contains(parts[1])
            ? null
            : "leads to a heading that does not exist";
    }
}
