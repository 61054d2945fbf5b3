using System.Threading.Channels;

namespace GracefulConnections.Dashboard;

/// <summary>Somebody who looks. A slow one gets the newest picture, and not the ones before.</summary>
internal sealed class DashboardViewer(string connectionId)
{
    private readonly Channel<DashboardSummary> _pictures = Channel.CreateBounded<DashboardSummary>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });

    public string ConnectionId => connectionId;

    public void Show(DashboardSummary picture) => _pictures.Writer.TryWrite(picture);

    public void End() => _pictures.Writer.TryComplete();

    public IAsyncEnumerable<DashboardSummary> ReadAllAsync(CancellationToken cancellationToken) =>
        _pictures.Reader.ReadAllAsync(cancellationToken);
}
