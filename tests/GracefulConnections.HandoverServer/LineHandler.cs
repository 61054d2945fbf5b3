using System.Buffers;
using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.HandoverServer;

/// <summary>
/// Answers lines: "id" by the process id, "quit" by the process id and a return, "work" the same after some time, and
/// "big" by 4 MB. It knows nothing of close requests.
/// </summary>
internal sealed class LineHandler(TimeSpan work)
{
    private const int BigBytes = 4_000_000;

    private static readonly byte[] Id = Encoding.ASCII.GetBytes(
        string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId}\n"));

    public async Task ServeAsync(ConnectionContext connection)
    {
        var (input, output) = (connection.Transport.Input, connection.Transport.Output);
        while (true)
        {
            var read = await input.ReadAsync();
            if (read.Buffer.PositionOf((byte)'\n') is not { } end)
            {
                input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
                if (read.IsCompleted)
                {
                    return;
                }

                continue;
            }

            var line = Encoding.ASCII.GetString(read.Buffer.Slice(0, end));
            input.AdvanceTo(read.Buffer.GetPosition(1, end));
            if (line == "work")
            {
                await Task.Delay(work);
            }

            await output.WriteAsync(line == "big" ? new byte[BigBytes] : Id);
            if (line is "quit")
            {
                return;
            }
        }
    }
}
