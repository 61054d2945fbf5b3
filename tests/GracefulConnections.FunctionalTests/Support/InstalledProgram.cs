namespace GracefulConnections.FunctionalTests.Support;

/// <summary>A program of this machine that is not part of this repository.</summary>
internal static class InstalledProgram
{
    /// <summary>The environment variable that makes a missing program a failure where it is 1.</summary>
    public const string RequireVariable = "GRACEFUL_REQUIRE_PROGRAMS";

    // Where a plain user's PATH often does not lead, and servers are.
    private static readonly string[] SystemDirectories = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

    /// <summary>Gets whether this machine promises to have every program.</summary>
    public static bool IsRequired => Environment.GetEnvironmentVariable(RequireVariable) == "1";

    /// <summary>Returns the full path of <paramref name="program"/>, or <see langword="null"/> where it is not installed.</summary>
    public static string? Find(string program)
    {
        var directories = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries);
        return directories.Concat(SystemDirectories).Select(directory => Path.Combine(directory, program)).FirstOrDefault(File.Exists);
    }

    /// <summary>Says what to do about a program that is missing.</summary>
    public static string DescribeMissing(string program, string package) => $"{program} is not installed (apt-get install {package}).";
}
