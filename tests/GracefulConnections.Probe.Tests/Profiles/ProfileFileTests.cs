using GracefulConnections.Probe.Commands;
using GracefulConnections.Probe.Profiles;

namespace GracefulConnections.Probe.Tests.Profiles;

public sealed class ProfileFileTests
{
    [Fact]
    public void Read_EveryProperty_IsTaken()
    {
        var profile = Read("""
            {
              "name": "memcached", // A comment is allowed.
              "greeting": "hello\n",
              "request": "version\\r\\n",
              "replyPattern": "VERSION [^\\n]*\\n",
              "end": "quit\\r\\n",
              "refusalPattern": "ERROR",
              "halfBytes": 4,
              "pipelined": 500,
            }
            """);

        Assert.Equal(("memcached", 4, 500), (profile.Name, profile.HalfBytes, profile.MaxPipelined));
        Assert.Equal("version\r\n"u8.ToArray(), profile.Request);
        Assert.Equal("quit\r\n"u8.ToArray(), profile.Ending);
        Assert.Equal(13, profile.Reply.Measure("VERSION 1.6\r\nVERSION"u8));
    }

    [Theory]
    [InlineData("", 1, 1)]
    [InlineData("[]", 1, 1)]
    [InlineData("{\n  \"request\": \"a\",\n  \"reqest\": \"b\"\n}", 3, 3)]
    [InlineData("{\n  \"request\": 5\n}", 2, 14)]
    [InlineData("{\n  \"request\": \"a\",\n  \"replyPattern\": \"(\"\n}", 3, 19)]
    [InlineData("{\n  \"request\": \"a\\\\q\"\n}", 2, 14)]
    [InlineData("{\n  \"request\": \"a\"\n  \"reply\": \"b\"\n}", 3, 3)]
    [InlineData("{\n  \"request\": \"a\",\n  \"pipelined\": 0\n}", 3, 16)]
    [InlineData("{\n  \"request\": \"a\",\n  \"request\": \"b\"\n}", 3, 3)]
    [InlineData("{\n  \"reply\": \"a\"\n}", 3, 1)]
    [InlineData("{\n  \"request\": \"a\"\n} {", 3, 3)]
    public void Read_Error_NamesFileLineAndColumn(string json, int line, int column)
    {
        var exception = Assert.Throws<ProbeFailedException>(() => Read(json));

        Assert.Equal(ExitCode.Usage, exception.ExitCode);
        Assert.Contains($".json:{line}:{column}: ", exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', exception.Message);
    }

    [Fact]
    public void Read_NoSuchFile_IsUsage() =>
        Assert.Equal(ExitCode.Usage, Assert.Throws<ProbeFailedException>(() => ProfileFile.Read("/no/such.json")).ExitCode);

    private static Profile Read(string json)
    {
        var path = Path.Combine(Path.GetTempPath(), $"graceful-{Guid.NewGuid():N}.json");
        try
        {
            File.WriteAllText(path, json);
            return ProfileFile.Read(path);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
