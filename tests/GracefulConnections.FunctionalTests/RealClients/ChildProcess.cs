using System.Diagnostics;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.RealClients;

/// <summary>A program that a test started, with its input and output in the test's hands. It never outlives the test.</summary>
internal sealed class ChildProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task<string> _errors;
    private readonly CancellationTokenSource _enough = new();
    private Task _upload = Task.CompletedTask;

    private ChildProcess(Process process)
    {
        _process = process;
        _errors = process.StandardError.ReadToEndAsync();
    }

    public bool HasExited => _process.HasExited;

    private Stream Input => _process.StandardInput.BaseStream;

    public static ChildProcess Start(string path, params IEnumerable<string> arguments)
    {
        var process = Process.Start(new ProcessStartInfo(path, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        })!;
        return new ChildProcess(process);
    }

    public async Task WriteInputAsync(ReadOnlyMemory<byte> bytes)
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        await Input.WriteAsync(bytes, limit.Token);
        await Input.FlushAsync(limit.Token);
    }

    /// <summary>Feeds zeros until <see cref="CloseInputAsync"/>, or until the program takes no more.</summary>
    public void StartUpload()
    {
        _upload = Task.Run(UploadAsync);

        async Task UploadAsync()
        {
            var bytes = new byte[64 * 1024];
            try
            {
                while (!_enough.IsCancellationRequested)
                {
                    await Input.WriteAsync(bytes, _enough.Token);
                }
            }
            catch (Exception exception) when (exception is IOException or OperationCanceledException)
            {
                // The program has ended or closed its input, or the test has seen enough.
            }
        }
    }

    public async Task CloseInputAsync()
    {
        await _enough.CancelAsync();
        await _upload.WaitAsync(TestServer.TestLimit);
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // The program closed it before.
        }
    }

    /// <summary>Reads the program's output to its end, or until <paramref name="maxBytes"/> are there.</summary>
    public async Task<byte[]> ReadOutputAsync(int maxBytes = int.MaxValue)
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        using var output = new MemoryStream();
        var buffer = new byte[64 * 1024];
        while (output.Length < maxBytes)
        {
            var read = await _process.StandardOutput.BaseStream.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, maxBytes - output.Length)), limit.Token);
            if (read == 0)
            {
                break;
            }

            output.Write(buffer, 0, read);
        }

        return output.ToArray();
    }

    /// <summary>Reads a line that the program printed.</summary>
    public async Task<string?> ReadLineAsync()
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        return await _process.StandardOutput.ReadLineAsync(limit.Token);
    }

    /// <summary>Ends the program as a crash would: its kernel closes the connection for it.</summary>
    public void Kill() => _process.Kill(entireProcessTree: true);

    /// <summary>Waits until the program has ended.</summary>
    /// <returns>Its exit code and what it printed to its standard error.</returns>
    public async Task<(int ExitCode, string Errors)> WaitForExitAsync()
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        await _process.WaitForExitAsync(limit.Token);
        return (_process.ExitCode, await _errors.WaitAsync(limit.Token));
    }

    public async ValueTask DisposeAsync()
    {
        await _enough.CancelAsync();
        if (!_process.HasExited)
        {
            Kill();
        }

        await _upload.WaitAsync(TestServer.TestLimit);
        await _errors.WaitAsync(TestServer.TestLimit);
        _process.Dispose();
        _enough.Dispose();
    }
}
