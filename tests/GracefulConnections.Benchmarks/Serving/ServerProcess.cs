using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using GracefulConnections.Benchmarks.Rows;

namespace GracefulConnections.Benchmarks.Serving;

/// <summary>A server in a process of its own, so that its CPU time and its heap are nobody else's.</summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(30);

    private readonly Process _process;

    private ServerProcess(Process process, int port)
    {
        _process = process;
        EndPoint = new IPEndPoint(IPAddress.Loopback, port);
    }

    public IPEndPoint EndPoint { get; }

    /// <summary>Starts the loop over shutdown(2), which understands the drain's command only.</summary>
    public static Task<ServerProcess> StartShutdownLoopAsync() => StartAsync(new ProcessStartInfo("python3")
    {
        ArgumentList = { "-u", Path.Combine(AppContext.BaseDirectory, "Serving", "shutdown_loop.py") },
    });

    public static Task<ServerProcess> StartAsync(IBenchmark benchmark, Variant variant)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!);
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
        {
            start.ArgumentList.Add(typeof(ServerProcess).Assembly.Location);
        }

        start.ArgumentList.Add("serve");
        start.ArgumentList.Add(variant.ToString());
        start.ArgumentList.Add(benchmark.Name);
        return StartAsync(start);
    }

    private static async Task<ServerProcess> StartAsync(ProcessStartInfo start)
    {
        start.RedirectStandardInput = true;
        start.RedirectStandardOutput = true;
        var process = Process.Start(start)!;
        try
        {
            return new ServerProcess(process, int.Parse(await ReadLineAsync(process), CultureInfo.InvariantCulture));
        }
        catch
        {
            process.Kill();
            process.Dispose();
            throw;
        }
    }

    public async Task<Statistics> GetStatisticsAsync()
    {
        var answer = (await AskAsync(ServerRole.StatisticsCommand)).Split(' ');
        return new Statistics(TimeSpan.FromTicks(long.Parse(answer[0], CultureInfo.InvariantCulture)), long.Parse(answer[1], CultureInfo.InvariantCulture), TimeSpan.FromTicks(long.Parse(answer[2], CultureInfo.InvariantCulture)));
    }

    /// <summary>Drains, and returns how many connections ended gracefully and what processor time it took.</summary>
    public async Task<(int Count, double ProcessorMilliseconds)> DrainAsync() => ReadPair(await AskAsync(ServerRole.DrainCommand));

    /// <summary>Takes a snapshot of all connections, and returns how many there are and how long it took.</summary>
    public async Task<(int Count, double Milliseconds)> GetConnectionsAsync() => ReadPair(await AskAsync(ServerRole.GetConnectionsCommand));

    /// <summary>Returns the address of the dashboard.</summary>
    public async Task<Uri> GetPageAsync() => new(new Uri(await AskAsync(ServerRole.PageCommand)), "connections/");

    public async Task<long> GetManagedBytesAsync() => long.Parse(await AskAsync(ServerRole.ManagedBytesCommand), CultureInfo.InvariantCulture);

    /// <summary>Returns the certificate of a server with TLS, without its key.</summary>
    public async Task<X509Certificate2> GetCertificateAsync() => X509CertificateLoader.LoadCertificate(Convert.FromBase64String(await AskAsync(ServerRole.CertificateCommand)));

    public async ValueTask DisposeAsync()
    {
        _process.StandardInput.Close(); // It ends by that.
        using (var limit = new CancellationTokenSource(AnswerLimit))
        {
            try
            {
                await _process.WaitForExitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                _process.Kill();
            }
        }

        _process.Dispose();
    }

    private static async Task<string> ReadLineAsync(Process process) =>
        await process.StandardOutput.ReadLineAsync().WaitAsync(AnswerLimit) ?? throw new EndOfStreamException("The server process ended.");

    private static (int Count, double Milliseconds) ReadPair(string line)
    {
        var words = line.Split(' ');
        return (int.Parse(words[0], CultureInfo.InvariantCulture), double.Parse(words[1], CultureInfo.InvariantCulture));
    }

    private Task<string> AskAsync(string command)
    {
        _process.StandardInput.WriteLine(command);
        _process.StandardInput.Flush();
        return ReadLineAsync(_process);
    }
}
