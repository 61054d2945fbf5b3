using System.Net;
using System.Net.Security;
using GracefulConnections.Benchmarks.Load;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>Every connection sends a message, waits until all of it came back, and sends the next.</summary>
internal sealed class EchoBenchmark : LoadBenchmark
{
    private readonly int _connections;
    private readonly int _messageBytes;

    private EchoBenchmark(string name, int connections, int messageBytes, bool usesTls = false)
    {
        Name = name;
        UsesTls = usesTls;
        _connections = connections;
        _messageBytes = messageBytes;
    }

    public static EchoBenchmark Small { get; } = new("echo-64B", connections: 64, messageBytes: 64);

    public static EchoBenchmark Large { get; } = new("echo-64KiB", connections: 16, messageBytes: 64 * 1024);

    public static EchoBenchmark SmallOverTls { get; } = new("tls-echo-64B", connections: 64, messageBytes: 64, usesTls: true);

    public static EchoBenchmark LargeOverTls { get; } = new("tls-echo-64KiB", connections: 16, messageBytes: 64 * 1024, usesTls: true);

    public override string Name { get; }

    public override string Description => $"echo of {_messageBytes} bytes on {_connections} connections{(UsesTls ? " over TLS" : "")}";

    protected override bool UsesTls { get; }

    protected override string Unit => "message";

    protected override async Task ServeAsync(ConnectionContext connection)
    {
        var input = connection.Transport.Input;
        var output = connection.Transport.Output;
        while (true)
        {
            var read = await input.ReadAsync();
            foreach (var segment in read.Buffer)
            {
                var memory = output.GetMemory(segment.Length);
                segment.CopyTo(memory);
                output.Advance(segment.Length);
            }

            input.AdvanceTo(read.Buffer.End);
            var flush = await output.FlushAsync();
            if (read.IsCompleted || flush.IsCompleted)
            {
                return;
            }
        }
    }

    protected override ILoad CreateLoad(IPEndPoint endPoint, SslClientAuthenticationOptions? tls) =>
        tls is null ? new EchoLoad(endPoint, _connections, _messageBytes) : new TlsEchoLoad(endPoint, tls, _connections, _messageBytes);
}
