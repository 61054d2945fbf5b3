using System.Net;
using GracefulConnections.Testing;

namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>The books of one connection: what its handler wrote, what its peer saw and what the library told.</summary>
internal sealed class HostilePlay(HostileScript script)
{
    private readonly TaskCompletionSource<IGracefulCloseFeature> _served =
        new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _handled = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _attempted;
    private long _accepted;
    private long _consumed;
    private Task _background = Task.CompletedTask;

    public HostileScript Script { get; } = script;

    /// <summary>
    /// Gets the address of the peer. Each play has its own, so that no late connection is taken for another's, and no
    /// port has to be waited for.
    /// </summary>
    public IPAddress Address { get; } = new(
        [127, (byte)(1 + (script.Index >> 16)), (byte)(script.Index >> 8), (byte)script.Index]);

    /// <summary>Gets the close of the connection, once its handler was called.</summary>
    public Task<IGracefulCloseFeature> Served => _served.Task;

    /// <summary>Gets a task that ends with the handler.</summary>
    public Task Handled => _handled.Task;

    /// <summary>Gets or sets what the handler left behind when it returned.</summary>
    public Task Background
    {
        get => Volatile.Read(ref _background);
        set => Volatile.Write(ref _background, value);
    }

    /// <summary>Gets what the handler wrote, also while nobody was left to take it.</summary>
    public long AttemptedBytes => Volatile.Read(ref _attempted);

    /// <summary>Gets what was taken from the handler while the connection was open.</summary>
    public long AcceptedBytes => Volatile.Read(ref _accepted);

    /// <summary>Gets what the goodbye wrote behind it.</summary>
    public int GoodbyeBytes { get; set; }

    public long ConsumedBytes => Volatile.Read(ref _consumed);

    /// <summary>Gets what the peer sent in order.</summary>
    public long SentBytes { get; set; }

    public long ReceivedBytes { get; set; }

    /// <summary>Gets how the peer's input ended; <see langword="null"/> if it did not wait for that.</summary>
    public PeerSaw? Saw { get; set; }

    /// <summary>Gets whether the peer sent FIN.</summary>
    public bool HasHalfClosed { get; set; }

    /// <summary>Gets whether the peer ended the connection by itself.</summary>
    public bool HasLeft { get; set; }

    /// <summary>Gets whether a reset came behind the FIN; <see langword="null"/> if nobody looked.</summary>
    public bool? IsResetBehindFin { get; set; }

    /// <summary>Gets whether the peer received what nobody may send.</summary>
    public bool IsPoisoned { get; set; }

    /// <summary>Gets whether the connection did not come to its end.</summary>
    public bool IsHung { get; private set; }

    /// <summary>Gets the first thing that is wrong whatever the outcome.</summary>
    public string? Fault { get; private set; }

    public CloseResult Result { get; set; }

    public void Serving(IGracefulCloseFeature close) => _served.SetResult(close);

    public void EndHandler() => _handled.SetResult();

    public void Attempt(int bytes) => Volatile.Write(ref _attempted, _attempted + bytes);

    /// <summary>Notes that everything written so far was taken.</summary>
    public void Accept() => Accept(_attempted);

    public void Accept(long bytes) => Volatile.Write(ref _accepted, bytes);

    public void Consume(long bytes) => Volatile.Write(ref _consumed, _consumed + bytes);

    public void Hang() => IsHung = true;

    public void Fail(string fault) => Fault ??= fault;

    public override string ToString() =>
        $"#{Script.Index} {Script}: {AcceptedBytes}..{AttemptedBytes} written, goodbye {GoodbyeBytes}, {ReceivedBytes} received,"
        + $" {SentBytes} sent, {ConsumedBytes} consumed, saw {Saw?.ToString() ?? "nothing"}"
        + $"{(HasHalfClosed ? ", FIN sent" : "")}{(HasLeft ? ", left" : "")}, {Result}";
}
