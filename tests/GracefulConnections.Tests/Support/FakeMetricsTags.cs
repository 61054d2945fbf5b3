using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Tests.Support;

/// <summary>The tags of the server's own connection metrics.</summary>
internal sealed class FakeMetricsTags : IConnectionMetricsTagsFeature
{
    public ICollection<KeyValuePair<string, object?>> Tags { get; } = [];
}
