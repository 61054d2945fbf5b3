namespace GracefulConnections.Docs.Tests;

/// <summary>Shows everything that is wrong at once, and whole.</summary>
internal static class Faults
{
    public static void AssertNone(IEnumerable<string> faults)
    {
        var all = faults.ToList();
        Assert.True(all.Count == 0, string.Join(Environment.NewLine, all));
    }
}
