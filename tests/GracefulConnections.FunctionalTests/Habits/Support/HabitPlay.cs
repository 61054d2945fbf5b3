using System.Collections.Concurrent;
using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>One handler and one peer on one server: what both of them tell while they play.</summary>
internal sealed class HabitPlay(bool isStock)
{
    private readonly ConcurrentQueue<string> _executed = new();
    private readonly TaskCompletionSource _accepted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<Exception?> _handled =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private Task _stopping = Task.CompletedTask;

    public bool IsStock { get; } = isStock;

    public TestServer Server { get; set; } = null!;

    /// <summary>Gets or sets where the server listens by a handle that it was passed.</summary>
    public EndPoint? PassedEndPoint { get; set; }

    public HabitPeer Peer { get; set; } = null!;

    /// <summary>Gets the connection's feature; <see langword="null"/> on stock Kestrel.</summary>
    public IGracefulCloseFeature? Graceful { get; private set; }

    public CancellationToken CloseRequested => Graceful?.CloseRequested ?? CancellationToken.None;

    public IReadOnlyList<string> Executed => [.. _executed];

    /// <summary>Gets what escaped the handler, once it has ended.</summary>
    public Task<Exception?> Handled => _handled.Task;

    /// <summary>Gets a task that ends when the host has stopped, if it was asked to.</summary>
    public Task Stopping => _stopping;

    /// <summary>Notes what a handler executed or stored.</summary>
    public void Note(string executed) => _executed.Enqueue(executed);

    /// <summary>Waits until the handler noted so many things, or ended.</summary>
    public Task NotedAsync(int count) => Eventually.IsTrueAsync(() => _executed.Count >= count || Handled.IsCompleted);

    /// <summary>Waits until the server has accepted the peer.</summary>
    public Task AcceptedAsync() => _accepted.Task.InTimeAsync();

    /// <summary>Begins to stop the host. On ours, returns once the connection was asked to close.</summary>
    public async Task StopAsync()
    {
        _stopping = Server.StopAsync();
        await RequestedAsync();
    }

    /// <summary>Begins to drain the connections of the server, which goes on.</summary>
    public void StartDraining() => _stopping = Server.DrainAsync(static _ => true);

    /// <summary>Waits until the connection was asked to close. Stock Kestrel asks nobody.</summary>
    public async Task RequestedAsync()
    {
        if (Graceful is { } graceful)
        {
            await Eventually.IsTrueAsync(() => graceful.CloseRequested.IsCancellationRequested || Handled.IsCompleted);
        }
    }

    /// <summary>
    /// Waits until the peer has received so many bytes and was let go. Stock Kestrel lets no idle connection go: there
    /// the peer goes by itself once it has everything, so that the play is no longer than it must be.
    /// </summary>
    public async Task LetGoAsync(long receivedBytes)
    {
        await Peer.ReceivedAsync(receivedBytes);
        if (IsStock)
        {
            Peer.HalfClose();
        }

        await Peer.EndedAsync();
    }

    /// <summary>Runs the handler of the play.</summary>
    public async Task RunAsync(ConnectionContext connection, Func<ConnectionContext, HabitPlay, Task> handler)
    {
        Graceful = connection.Features.Get<IGracefulCloseFeature>();
        _accepted.TrySetResult();
        try
        {
            await handler(connection, this);
            _handled.TrySetResult(null);
        }
        catch (Exception exception) when (Escaped(exception))
        {
            throw; // It never comes here: the exception is the server's, and is only looked at.
        }
    }

    private bool Escaped(Exception exception)
    {
        _handled.TrySetResult(exception);
        return false;
    }
}
