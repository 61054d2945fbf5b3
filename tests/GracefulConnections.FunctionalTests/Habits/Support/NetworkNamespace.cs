using System.ComponentModel;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.Win32.SafeHandles;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>
/// A network of a test's own, with nothing in it but a loopback whose speed and losses the test decides about. A socket
/// belongs for ever to the network that its thread was in when it was made, so server and peer stay in this process.
/// </summary>
internal sealed class NetworkNamespace : IDisposable
{
    private const int NewNetwork = 0x40000000; // CLONE_NEWNET in linux/sched.h.

    private readonly string _name = $"graceful-{Guid.NewGuid():N}"[..20];
    private readonly string _ip;

    private NetworkNamespace(string ip) => _ip = ip;

    /// <summary>Makes a network, or skips the test where that is not allowed or a program is missing.</summary>
    public static NetworkNamespace Create()
    {
        var network = new NetworkNamespace(RequiredProgram.Find("ip", "iproute2"));
        if (!TryExecute(network._ip, ["netns", "add", network._name], out var errors))
        {
            RequiredProgram.SkipOrFail($"A network namespace needs root and CAP_SYS_ADMIN: {errors}.");
        }

        // A link as Ethernet has it: at the loopback's own 64 KiB, a bucket would have to hold as much at once.
        Execute(network._ip, "-n", network._name, "link", "set", "lo", "mtu", "1500", "up");
        return network;
    }

    /// <summary>Lets so many bits a second through.</summary>
    public void LimitSpeed(int bitsPerSecond)
    {
        var tc = RequiredProgram.Find("tc", "iproute2");
        string[] bucket = ["rate", $"{bitsPerSecond}bit", "burst", "16kb", "latency", "400ms"];
        Execute(tc, ["-n", _name, "qdisc", "add", "dev", "lo", "root", "tbf", .. bucket]);
    }

    /// <summary>Loses every packet from now on, without a word to either side.</summary>
    public void Cut()
    {
        var nft = RequiredProgram.Find("nft", "nftables");
        const string rules = "add table ip t; add chain ip t i { type filter hook input priority 0; policy drop; }";
        Execute(_ip, "netns", "exec", _name, nft, rules);
    }

    /// <summary>Connects a peer.</summary>
    public HabitPeer Connect(EndPoint endPoint, Action<Socket>? configure) => Run(() =>
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        configure?.Invoke(socket);
        socket.Connect(endPoint);
        return new HabitPeer(socket);
    });

    /// <summary>Makes something that belongs to this network.</summary>
    public T Run<T>(Func<T> make)
    {
        T made = default!;
        Exception? fault = null;
        var thread = new Thread(() =>
        {
            try
            {
                using var handle = File.OpenHandle($"/var/run/netns/{_name}");
                made = SetNamespace(handle, NewNetwork) == 0 ? make() : throw new Win32Exception();
            }
            catch (Exception exception) when (exception is Win32Exception or SocketException or IOException)
            {
                fault = exception;
            }
        });
        thread.Start();
        if (!thread.Join(TestServer.TestLimit))
        {
            throw new TimeoutException("The network does not answer.");
        }

        return fault is null ? made : throw new InvalidOperationException("It failed in the network.", fault);
    }

    public void Dispose() => Execute(_ip, "netns", "del", _name);

    private static void Execute(string program, params string[] arguments) =>
        Assert.True(TryExecute(program, arguments, out var errors), errors);

    private static bool TryExecute(string program, string[] arguments, out string errors)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        errors = process.StandardError.ReadToEnd().Trim();
        Assert.True(process.WaitForExit(TestServer.TestLimit));
        return process.ExitCode == 0;
    }

    [DllImport("libc", EntryPoint = "setns", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SetNamespace(SafeFileHandle descriptor, int type);
}
