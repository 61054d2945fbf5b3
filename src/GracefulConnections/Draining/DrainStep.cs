namespace GracefulConnections.Draining;

/// <summary>What the application does before its connections are asked to close.</summary>
internal sealed record DrainStep(string Name, Func<IServiceProvider, CancellationToken, Task> Run) : IDrainStep;
