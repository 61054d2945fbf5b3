using System.Diagnostics.CodeAnalysis;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>A program that a test needs and that is not part of this repository.</summary>
internal static class RequiredProgram
{
    /// <summary>
    /// Returns the full path of <paramref name="program"/>. Where it is missing, skips the test, or fails it if the environment variable
    /// <c>GRACEFUL_REQUIRE_PROGRAMS</c> is 1: a machine that promises to run every test must not pass by skipping.
    /// </summary>
    /// <param name="program">The program's file name.</param>
    /// <param name="package">The Debian package that has it.</param>
    public static string Find(string program, string package)
    {
        if (InstalledProgram.Find(program) is { } path)
        {
            return path;
        }

        SkipOrFail(InstalledProgram.DescribeMissing(program, package));
        return null;
    }

    /// <summary>Skips the test for <paramref name="reason"/>, or fails it where every test was promised to run.</summary>
    [DoesNotReturn]
    public static void SkipOrFail(string reason)
    {
        if (InstalledProgram.IsRequired)
        {
            Assert.Fail($"{reason} {InstalledProgram.RequireVariable} is 1, so this is a failure.");
        }

        Assert.Skip(reason);
    }
}
