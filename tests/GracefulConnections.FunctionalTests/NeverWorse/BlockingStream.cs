using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>A middleware's stream whose asynchronous read blocks the thread that calls it.</summary>
internal sealed class BlockingStream(Stream inner, ManualResetEventSlim free) : TokenlessStream(inner)
{
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        Assert.True(free.Wait(2 * TestServer.TestLimit, CancellationToken.None));
        return new ValueTask<int>(0);
    }
}
