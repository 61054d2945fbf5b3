using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using GracefulConnections.Listening;

namespace GracefulConnections.Tests.Listening;

[UnsupportedOSPlatform("windows")]
public sealed class ListenerHandoverOptionsValidatorTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("graceful-");

    private string SocketPath => Path.Combine(_directory.FullName, "handover.sock");

    public void Dispose() => _directory.Delete(recursive: true);

    [Fact]
    public void Validate_Defaults_AreGood() => Assert.Empty(Validate(static _ => { }));

    [Fact]
    public void Validate_PathThatIsFree_IsGood() => Assert.Empty(Validate(options =>
    {
        options.SocketPath = SocketPath;
        options.RestartSignal = PosixSignal.SIGHUP;
    }));

    [Fact]
    public void Validate_PathThatIsASocket_IsGood()
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(SocketPath));

        Assert.Empty(Validate(options => options.SocketPath = SocketPath));
    }

    [Fact]
    public void Validate_PathThatIsAnotherFile_SaysSo()
    {
        File.WriteAllText(SocketPath, "mine");

        Assert.Equal([$"ListenerHandoverOptions: SocketPath must be free or a socket, but is another kind of file, but was {SocketPath}."], Validate(options => options.SocketPath = SocketPath));
    }

    [Theory]
    [InlineData("", "must not be empty")]
    [InlineData("/nowhere/handover.sock", "must be in a directory that exists, and /nowhere is none")]
    [InlineData("/tmp/handover.sock", "and that others cannot write to")]
    [InlineData("/proc/1/handover-with-a-name-so-long-that-no-socket-could-have-it-because-a-name-ends-at-107-bytes-and-we-need-8", "must have at most 99 bytes as a full path")]
    public void Validate_BadPath_SaysWhy(string path, string why) => Assert.Contains(why, Assert.Single(Validate(options => options.SocketPath = path)));

    [Fact]
    public void Validate_DirectoryOfOthers_SaysSo()
    {
        _directory.UnixFileMode |= UnixFileMode.OtherWrite;

        Assert.Contains("others cannot write to", Assert.Single(Validate(options => options.SocketPath = SocketPath)));
    }

    [Fact]
    public void Validate_RestartSignalWithoutPath_SaysWhatItNeeds() => Assert.Contains(
        "RestartSignal needs SocketPath, or RUNTIME_DIRECTORY", Assert.Single(Validate(static options => options.RestartSignal = PosixSignal.SIGHUP)));

    [Theory]
    [InlineData(PosixSignal.SIGTERM)]
    [InlineData(PosixSignal.SIGINT)]
    [InlineData(PosixSignal.SIGQUIT)]
    public void Validate_SignalThatStopsTheHost_IsRefused(PosixSignal signal) => Assert.Contains("must not be a signal that stops the host", Assert.Single(Validate(options =>
    {
        options.SocketPath = SocketPath;
        options.RestartSignal = signal;
    })));

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(24 * 3600 + 1)]
    public void Validate_ReadyTimeoutOutOfRange_IsRefused(int seconds) => Assert.Contains(
        "ReadyTimeout must be positive and at most 24 hours", Assert.Single(Validate(options => options.ReadyTimeout = TimeSpan.FromSeconds(seconds))));

    private static IEnumerable<string> Validate(Action<ListenerHandoverOptions> configure)
    {
        var options = new ListenerHandoverOptions();
        configure(options);
        return new ListenerHandoverOptionsValidator().Validate(null, options).Failures ?? [];
    }
}
