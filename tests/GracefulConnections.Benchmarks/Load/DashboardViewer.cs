namespace GracefulConnections.Benchmarks.Load;

/// <summary>An open page of the dashboard: it asks for what the page's script asks for, at the same times.</summary>
internal sealed class DashboardViewer : IAsyncDisposable
{
    private static readonly TimeSpan ListInterval = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan OpenLimit = TimeSpan.FromSeconds(30);

    private readonly HttpClient _client;
    private readonly CancellationTokenSource _closed = new();
    private readonly TaskCompletionSource _opened = new();
    private readonly Task _viewing;
    private long _receivedBytes;

    private DashboardViewer(Uri page)
    {
        _client = new HttpClient { BaseAddress = page };
        _viewing = Task.WhenAll(ReadEventsAsync(), ReadListAsync());
    }

    /// <summary>Gets how many bytes have come, without the headers of HTTP.</summary>
    public long ReceivedBytes => Volatile.Read(ref _receivedBytes);

    /// <summary>Opens a page, and waits for the first picture.</summary>
    public static async Task<DashboardViewer> OpenAsync(Uri page)
    {
        var viewer = new DashboardViewer(page);
        await (await Task.WhenAny(viewer._opened.Task, viewer._viewing)).WaitAsync(OpenLimit);
        return viewer;
    }

    public async ValueTask DisposeAsync()
    {
        await _closed.CancelAsync();
        await _viewing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // It ends by that.
        _client.Dispose();
        _closed.Dispose();
    }

    private async Task ReadEventsAsync()
    {
        await using var events = await _client.GetStreamAsync("api/events", _closed.Token);
        var buffer = new byte[16 * 1024];
        while (await events.ReadAsync(buffer, _closed.Token) is var read and > 0)
        {
            Interlocked.Add(ref _receivedBytes, read);
            _opened.TrySetResult();
        }
    }

    private async Task ReadListAsync()
    {
        using var timer = new PeriodicTimer(ListInterval);
        do
        {
            Interlocked.Add(ref _receivedBytes, (await _client.GetByteArrayAsync("api/connections", _closed.Token)).Length);
        }
        while (await timer.WaitForNextTickAsync(_closed.Token));
    }
}
