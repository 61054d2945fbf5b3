using System.Text;

namespace GracefulConnections.Docs.Tests;

/// <summary>The first page that people see stays short.</summary>
public class ReadmeTests
{
    private const int MostBytes = 9 * 1024;

    private static readonly Page Readme = Repository.Find("README.md");

    [Fact]
    public void Readme_Size_IsAtMost9Kilobytes() =>
        Assert.InRange(Encoding.UTF8.GetByteCount(Readme.Text), 1, MostBytes);

    [Theory]
    [InlineData("dotnet run --project samples/TeardownLab")]
    [InlineData("dotnet test")]
    public void Readme_FirstCommands_StandOnLinesOfTheirOwn(string command) =>
        Assert.Contains(
            Readme.Code, block => block.Language == "console" && block.Text.Split('\n').Contains(command));
}
