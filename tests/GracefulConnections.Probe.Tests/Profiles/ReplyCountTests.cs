using System.Text;
using GracefulConnections.Probe.Profiles;

namespace GracefulConnections.Probe.Tests.Profiles;

public sealed class ReplyCountTests
{
    private const string Http = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    private const string Last = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    private const string Chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";

    [Theory]
    [InlineData("ab\nab\n", 2, 0, false)]
    [InlineData("ab\nab", 2, 1, false)]
    [InlineData("ab\n", 2, 3, false)]
    [InlineData("", 2, 6, false)]
    [InlineData("ab\nxx\n", 2, 0, true)]
    public void Of_ExactReplies_CountsWhatIsMissing(string received, int requests, long missing, bool isForeign) =>
        AssertCount(new ExactReply("ab\n"u8.ToArray()), received, requests, requests * 3, missing, isForeign);

    [Theory]
    [InlineData(Http + Http, 2, 0, false)]
    [InlineData(Http + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", 2, 1, false)]
    [InlineData(Http + Last, 5, 0, false)] // The server has announced that nothing follows.
    [InlineData(Chunked + Http, 2, 0, false)]
    [InlineData("SSH-2.0-x\r\n", 1, 0, true)]
    [InlineData("HTTP/1.1 200 OK\r\n\r\nuntil the end", 1, 0, true)] // Nobody can say how long it should be.
    public void Of_HttpReplies_CountsWhatIsMissing(string received, int requests, long missing, bool isForeign) =>
        AssertCount(new HttpReply(), received, requests, (received.Length / 2 * 2) + missing, missing, isForeign);

    [Theory]
    [InlineData("250 OK\r\n250 fine\r\n", 2, false)]
    [InlineData("250 OK\r\n250 f", 2, true)]
    public void Of_PatternReplies_CountsWholeOnes(string received, int requests, bool isMissing)
    {
        var load = new Load(Array.Empty<byte>(), requests, requests * 8, 0);

        var count = ReplyCount.Of(Encoding.Latin1.GetBytes(received), new PatternReply(@"250[^\n]*\n"), load);

        Assert.Equal(isMissing, count.MissingBytes > 0);
    }

    private static void AssertCount(
        ReplyForm form, string received, int requests, long owed, long missing, bool isForeign)
    {
        var load = new Load(Array.Empty<byte>(), requests, owed, 0);

        var count = ReplyCount.Of(Encoding.Latin1.GetBytes(received), form, load);

        Assert.Equal((missing > 0, isForeign), (count.MissingBytes > 0, count.IsForeign));
    }
}
