using System.Security.Cryptography;

namespace GracefulConnections.FunctionalTests.Samples.Support;

/// <summary>A directory that goes with the test.</summary>
internal sealed class TemporaryDirectory : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("graceful-");

    public string this[params ReadOnlySpan<string> parts] => Path.Combine([_directory.FullName, .. parts]);

    /// <summary>Fills a directory with files of many sizes, in directories of their own.</summary>
    public void CreateTree(string name, int seed)
    {
        var random = new Random(seed);
        for (var i = 0; i < 100; i++)
        {
            var bytes = new byte[random.Next(0, 1 << random.Next(0, 18))];
            random.NextBytes(bytes);
            var directory = Directory.CreateDirectory(this[name, $"d{i % 10}"]);
            File.WriteAllBytes(Path.Combine(directory.FullName, $"f{i}"), bytes);
        }
    }

    /// <summary>Returns every file below a directory with its content's hash, but what Git keeps for itself.</summary>
    public IReadOnlyList<(string Path, string Hash)> ReadTree(string name) =>
    [
        .. Directory.EnumerateFiles(this[name], "*", SearchOption.AllDirectories)
            .Select(path => (Path: Path.GetRelativePath(this[name], path), Hash: Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)))))
            .Where(file => !file.Path.StartsWith(".git/", StringComparison.Ordinal))
            .OrderBy(file => file.Path, StringComparer.Ordinal),
    ];

    public void Dispose() => _directory.Delete(recursive: true);
}
