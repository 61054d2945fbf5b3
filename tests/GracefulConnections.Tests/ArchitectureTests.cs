using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace GracefulConnections.Tests;

/// <summary>Keeps the house as it was built, by reading the source of the library.</summary>
public partial class ArchitectureTests
{
    private const string RootNamespace = "GracefulConnections";
    private const int MostLines = 300;
    private const int MostCharacters = 120;

    // Which folder may use which others. A new folder finds its place here first.
    private static readonly Dictionary<string, string[]> MayUse = new()
    {
        ["Closing"] = ["Transport", "Diagnostics"],
        ["Transport"] = ["Transport/Tls", "Diagnostics"],
        ["Transport/Tls"] = ["Transport", "Diagnostics"],
        ["Draining"] = ["Closing", "Diagnostics"],
        ["Listening"] = ["Draining", "Diagnostics"],
        ["Pipeline"] = ["Closing", "Draining", "Transport", "Diagnostics"],
        ["Outgoing"] = ["Pipeline", "Draining", "Closing", "Transport", "Diagnostics"],
        ["Diagnostics"] = [],
    };

    private static readonly SourceFile[] Files = [.. ReadFiles()];

    public static TheoryData<string> Folders => [.. MayUse.Keys];

    [Fact]
    public void Source_Read_IsAllThere()
    {
        Assert.Contains(Files, file => file.Name == "GracefulCloseOptions");
        Assert.Equal(MayUse.Keys.Order(), Files.Select(file => file.Folder).Where(folder => folder.Length > 0).Distinct().Order());
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void Folder_Uses_OnlyWhatItMay(string folder) => AssertNone(
        from file in Files
        where file.Folder == folder
        from other in MayUse.Keys.Except(MayUse[folder]).Where(other => other != folder)
        where file.Names(other)
        select $"{file} uses {other}");

    [Fact]
    public void Namespace_EveryFile_IsThatOfItsFolder() => AssertNone(
        from file in Files
        where file.Namespace != (file.Folder.Length == 0 ? RootNamespace : $"{RootNamespace}.{file.Folder.Replace('/', '.')}")
        where !(file.Folder.Length == 0 && file.Namespace.StartsWith("Microsoft.", StringComparison.Ordinal) && file.Name.EndsWith("Extensions", StringComparison.Ordinal))
        select $"{file} is in {file.Namespace}");

    // The service manager's notify socket is no connection, and the kind of an address is no socket.
    [Fact]
    public void Socket_Named_OnlyWhereSocketsAre() => AssertNone(
        from file in Files
        where file.Folder.Split('/')[0] is not ("Transport" or "Listening" or "Outgoing")
            && file.Name is not ("SystemdNotifier" or "ConnectionTags")
            && SocketName().IsMatch(file.Code)
        select $"{file} names Socket");

    [Fact]
    public void ConnectionDelegate_Named_OnlyInPipelineAndTheExtensions() => AssertNone(
        from file in Files
        where !(file.Folder == "Pipeline" || (file.Folder.Length == 0 && file.Name.EndsWith("Extensions", StringComparison.Ordinal)))
        where ConnectionDelegateName().IsMatch(file.Code)
        select $"{file} names ConnectionDelegate");

    [Fact]
    public void Host_Named_OnlyByTheHostedServicesAndTheExtensions() => AssertNone(
        from file in Files
        where file.Name is not ("DrainHostedService" or "HandoverHostedService" or "AnnouncingLifetime") && !(file.Folder.Length == 0 && file.Name.EndsWith("Extensions", StringComparison.Ordinal))
        where HostName().IsMatch(file.Code)
        select $"{file} names the host");

    [Fact]
    public void Types_EveryFile_HasOneWithItsName() => AssertNone(
        from file in Files
        let types = TopLevelType().Matches(file.Code).Select(match => match.Groups["name"].Value).ToArray()
        where types is not [var only] || only != file.Name.Split('.')[0] // A part of a type has a word behind its name.
        select $"{file} declares {(types.Length == 0 ? "nothing" : string.Join(", ", types))}");

    [Fact]
    public void Types_NestedInAFile_ArePrivateOrInternal() => AssertNone(
        from file in Files
        from Match match in NestedPublicType().Matches(file.Code)
        select $"{file} declares {match.Groups["name"].Value} inside of another type");

    [Fact]
    public void Root_EveryFile_HasAPublicType() => AssertNone(
        from file in Files
        where file.Folder.Length == 0
        from Match match in TopLevelType().Matches(file.Code)
        where !match.Value.StartsWith("public ", StringComparison.Ordinal)
        select $"{file} declares {match.Groups["name"].Value}, which is not public");

    [Fact]
    public void Folders_EveryFile_HasNoPublicType() => AssertNone(
        from file in Files
        where file.Folder.Length > 0
        from Match match in TopLevelType().Matches(file.Code)
        where !match.Value.StartsWith("internal ", StringComparison.Ordinal)
        select $"{file} declares {match.Groups["name"].Value}, which is not internal");

    [Fact]
    public void Lines_EveryFileOfEveryPackage_AreAtMost300() => AssertNone(
        from file in ReadFiles("")
        where file.Lines.Length > MostLines
        select $"{file} has {file.Lines.Length} lines");

    [Fact]
    public void Line_EveryFileOfEveryPackage_IsAtMost120Characters() => AssertNone(
        from file in ReadFiles("")
        from line in file.Lines.Index()
        where line.Item.Length > MostCharacters
        select $"{file} has {line.Item.Length} characters in line {line.Index + 1}");

    private static void AssertNone(IEnumerable<string> violations) => Assert.Empty(violations);

    /// <param name="project">The folder below src; all of src without one.</param>
    private static IEnumerable<SourceFile> ReadFiles(string project = RootNamespace, [CallerFilePath] string thisFile = "")
    {
        var source = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(thisFile)!, "..", "..", "src", project));
        foreach (var path in Directory.EnumerateFiles(source, "*.cs", SearchOption.AllDirectories))
        {
            var relative = Path.GetRelativePath(source, path).Split(Path.DirectorySeparatorChar);
            if (!relative.Any(static part => part is "bin" or "obj"))
            {
                yield return new SourceFile(
                    string.Join('/', relative[..^1]),
                    Path.GetFileNameWithoutExtension(path),
                    Comment().Replace(File.ReadAllText(path), string.Empty),
                    File.ReadAllLines(path));
            }
        }
    }

    [GeneratedRegex(@"//.*$", RegexOptions.Multiline)]
    private static partial Regex Comment();

    [GeneratedRegex(@"\bSocket\b|\bSystem\.Net\.Sockets\b")]
    private static partial Regex SocketName();

    [GeneratedRegex(@"\bConnectionDelegate\b")]
    private static partial Regex ConnectionDelegateName();

    [GeneratedRegex(@"\busing Microsoft\.Extensions\.Hosting;|\bIHost\w*\b")]
    private static partial Regex HostName();

    [GeneratedRegex(@"^namespace (?<name>[\w.]+);", RegexOptions.Multiline)]
    private static partial Regex NamespaceLine();

    [GeneratedRegex(@"^(?:\w+ )*?(?:class|struct|enum|interface|record struct|record class|record|delegate [\w<>]+) (?<name>\w+)", RegexOptions.Multiline)]
    private static partial Regex TopLevelType();

    [GeneratedRegex(@"^ +public (?:\w+ )*?(?:class|struct|enum|interface|record|delegate [\w<>]+) (?<name>\w+)", RegexOptions.Multiline)]
    private static partial Regex NestedPublicType();

    private sealed record SourceFile(string Folder, string Name, string Code, string[] Lines)
    {
        public string Namespace => NamespaceLine().Match(Code).Groups["name"].Value;

        // By a using line, or by a name that is qualified in full or from our own root on.
        public bool Names(string folder)
        {
            var name = folder.Replace("/", @"\.");
            return Regex.IsMatch(Code, $@"\b{RootNamespace}\.{name}\b|(?<![\w.]){name}\.[A-Z]");
        }

        public override string ToString() => Folder.Length == 0 ? Name : $"{Folder}/{Name}";
    }
}
