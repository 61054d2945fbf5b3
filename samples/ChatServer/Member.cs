using System.IO.Pipelines;
using System.Text;
using System.Threading.Channels;

namespace ChatServer;

/// <summary>Somebody in a room. All of its lines go through one queue, because a connection has one writer.</summary>
internal sealed class Member(PipeWriter output)
{
    // Who does not read for so many lines misses the oldest.
    private readonly Channel<string> _lines = Channel.CreateBounded<string>(
        new BoundedChannelOptions(1000) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });

    public void Tell(string line) => _lines.Writer.TryWrite(line);

    public void Leave() => _lines.Writer.TryComplete();

    /// <summary>Writes the lines until the member leaves.</summary>
    public async Task WriteAllAsync()
    {
        await foreach (var line in _lines.Reader.ReadAllAsync())
        {
            await output.WriteAsync(Encoding.UTF8.GetBytes(line + "\n"));
        }
    }
}
