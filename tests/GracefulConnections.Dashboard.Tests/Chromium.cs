namespace GracefulConnections.Dashboard.Tests;

/// <summary>The browser that the tests drive.</summary>
internal static class Chromium
{
    private const string Path = "/usr/bin/chromium";

    /// <summary>Returns where it is. Without it the test is skipped, and in CI it fails.</summary>
    public static string Require()
    {
        if (!File.Exists(Path))
        {
            const string Missing = "Needs chromium: apt-get install chromium";
            Assert.SkipUnless(Environment.GetEnvironmentVariable("GRACEFUL_REQUIRE_PROGRAMS") == "1", Missing);
            Assert.Fail(Missing);
        }

        return Path;
    }
}
