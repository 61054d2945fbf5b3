using System.Diagnostics.CodeAnalysis;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>A program that a test needs and that is not part of this repository.</summary>
internal static class RequiredProgram
{
    private const string RequireVariable = "GRACEFUL_REQUIRE_PROGRAMS";

    // Where a plain user's PATH often does not lead, and tcpdump is.
    private static readonly string[] SystemDirectories = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

    /// <summary>
    /// Returns the full path of <paramref name="program"/>. Where it is missing, skips the test, or fails it if the environment variable
    /// <c>GRACEFUL_REQUIRE_PROGRAMS</c> is 1: a machine that promises to run every test must not pass by skipping.
    /// </summary>
    /// <param name="program">The program's file name.</param>
    /// <param name="package">The Debian package that has it.</param>
    public static string Find(string program, string package)
    {
        var directories = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        foreach (var directory in directories.Concat(SystemDirectories))
        {
            var path = Path.Combine(directory, program);
            if (File.Exists(path))
            {
                return path;
            }
        }

        SkipOrFail($"{program} is not installed (apt-get install {package}).");
        return null;
    }

    /// <summary>Skips the test for <paramref name="reason"/>, or fails it where every test was promised to run.</summary>
    [DoesNotReturn]
    public static void SkipOrFail(string reason)
    {
        if (Environment.GetEnvironmentVariable(RequireVariable) == "1")
        {
            Assert.Fail($"{reason} {RequireVariable} is 1, so this is a failure.");
        }

        Assert.Skip(reason);
    }
}
