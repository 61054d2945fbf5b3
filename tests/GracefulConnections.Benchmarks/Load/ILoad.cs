namespace GracefulConnections.Benchmarks.Load;

/// <summary>Keeps one server busy.</summary>
internal interface ILoad : IDisposable
{
    LoadResult Run(TimeSpan duration);
}
