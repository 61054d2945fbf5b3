namespace GracefulConnections.Listening;

/// <summary>
/// Process 1 of a container, or of another namespace of process ids (pid_namespaces(7)). When it exits, the kernel
/// kills every other process in there, so none of them can be its successor.
/// </summary>
internal static class FirstProcess
{
    private const int Id = 1;
    private const int Outside = 0; // What the kernel says of a process in another namespace.

    public static bool IsThis => Environment.ProcessId == Id;

    /// <summary>Gets whether a process is killed when this one exits.</summary>
    public static bool TakesAlong(int processId) => IsThis && processId != Outside;
}
