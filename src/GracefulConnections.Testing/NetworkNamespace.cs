using System.ComponentModel;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace GracefulConnections.Testing;

/// <summary>
/// A network of a test's own, with nothing in it but a loopback whose speed and losses the test decides about. Linux,
/// root and the programs of iproute2 (nftables for <see cref="Cut"/>) are needed.
/// </summary>
/// <remarks>
/// A socket belongs for ever to the network that its thread was in when it was made. So server and peer stay in the
/// test's process: make the listening socket and the peer's socket by <see cref="Run"/>.
/// </remarks>
public sealed class NetworkNamespace : IDisposable
{
    private const int NewNetwork = 0x40000000; // CLONE_NEWNET in linux/sched.h.

    private static readonly string[] Directories = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"];

    private readonly string _name = $"graceful-{Guid.NewGuid():N}"[..20];

    /// <summary>Makes a network.</summary>
    /// <exception cref="NotSupportedException">
    /// It is not allowed (that needs root and CAP_SYS_ADMIN), or the program <c>ip</c> is not installed.
    /// </exception>
    public NetworkNamespace()
    {
        try
        {
            Execute("ip", "netns", "add", _name);
        }
        catch (InvalidOperationException exception)
        {
            throw new NotSupportedException(
                $"A network namespace needs root and CAP_SYS_ADMIN. Run the test so. {exception.Message}", exception);
        }

        // A link as Ethernet has it: at the loopback's own 64 KiB, a bucket would have to hold as much at once.
        Execute("ip", "-n", _name, "link", "set", "lo", "mtu", "1500", "up");
    }

    /// <summary>Lets so many bits a second through.</summary>
    /// <param name="bitsPerSecond">How many, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="bitsPerSecond"/> is less than 1.</exception>
    /// <exception cref="NotSupportedException">The program <c>tc</c> is not installed.</exception>
    /// <exception cref="InvalidOperationException">The system refuses.</exception>
    public void LimitSpeed(int bitsPerSecond)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bitsPerSecond);
        string[] bucket = ["rate", $"{bitsPerSecond}bit", "burst", "16kb", "latency", "400ms"];
        Execute("tc", ["-n", _name, "qdisc", "add", "dev", "lo", "root", "tbf", .. bucket]);
    }

    /// <summary>Loses every packet from now on, without a word to either side.</summary>
    /// <exception cref="NotSupportedException">The program <c>nft</c> is not installed.</exception>
    /// <exception cref="InvalidOperationException">The system refuses.</exception>
    public void Cut()
    {
        const string rules = "add table ip t; add chain ip t i { type filter hook input priority 0; policy drop; }";
        Execute("ip", "netns", "exec", _name, Find("nft"), rules);
    }

    /// <summary>Connects a peer over TCP that can vanish with this network.</summary>
    /// <param name="endPoint">Where to: a server that listens in this network, over IPv4.</param>
    /// <param name="configure">Changes the socket before it connects.</param>
    /// <param name="time">The clock of the peer's report; the system's if <see langword="null"/>.</param>
    /// <returns>The peer.</returns>
    /// <exception cref="InvalidOperationException">It cannot connect.</exception>
    public ScriptedPeer Connect(EndPoint endPoint, Action<Socket>? configure = null, TimeProvider? time = null) =>
        Run(() =>
        {
            var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            configure?.Invoke(socket);
            socket.Connect(endPoint);
            return new ScriptedPeer(socket, time) { Network = this };
        });

    /// <summary>Makes something that belongs to this network, on a thread that is in it.</summary>
    /// <param name="make">Makes it, without an await.</param>
    /// <typeparam name="T">What is made.</typeparam>
    /// <returns>What was made.</returns>
    /// <exception cref="InvalidOperationException">It failed; the inner exception says why.</exception>
    /// <exception cref="TimeoutException">It did not end within 60 s.</exception>
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
        if (!thread.Join(Waiting.Longest))
        {
            throw new TimeoutException($"The network does not answer for {Waiting.Longest}.");
        }

        return fault is null ? made : throw new InvalidOperationException("It failed in the network.", fault);
    }

    /// <summary>Deletes the network. Sockets that were made in it go on with nothing to talk to.</summary>
    public void Dispose() => Execute("ip", "netns", "del", _name);

    private static string Find(string program) =>
        Array.Find(Directories, directory => File.Exists($"{directory}/{program}")) is { } found
            ? $"{found}/{program}"
            : throw new NotSupportedException(
                $"The program {program} is in none of {string.Join(", ", Directories)}. Install it.");

    private static void Execute(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(Find(program), arguments) { RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEnd().Trim();
        process.WaitForExit();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException(
                $"{program} {string.Join(' ', arguments)} failed with {process.ExitCode}: {errors}");
        }
    }

    [DllImport("libc", EntryPoint = "setns", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SetNamespace(SafeFileHandle descriptor, int type);
}
