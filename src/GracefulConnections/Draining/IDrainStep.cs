namespace GracefulConnections.Draining;

/// <summary>
/// A drain step as the services know it. An interface, because a container of another make may build a class that
/// nobody has registered, where Microsoft's finds none.
/// </summary>
internal interface IDrainStep
{
    /// <summary>Gets what the log calls it.</summary>
    string Name { get; }

    /// <summary>Gets the work.</summary>
    Func<IServiceProvider, CancellationToken, Task> Run { get; }
}
