using System.Diagnostics;

namespace GracefulConnections.Testing;

/// <summary>One use of a pool's memory against the rules.</summary>
/// <param name="Kind">What was done.</param>
/// <param name="Detail">What was found: which bytes changed, or who returned the block again.</param>
/// <param name="Return">Who returned the block first; <see langword="null"/> where returns are not traced.</param>
public sealed record PoolViolation(PoolViolationKind Kind, string Detail, StackTrace? Return)
{
    /// <summary>Returns what a failed test should say.</summary>
    public override string ToString() => $"{Kind}: {Detail}{Environment.NewLine}" + (Return is null
        ? $"Who returned it is not known. Set {PoisoningMemoryPoolFactory.TraceVariable}=1 to see."
        : $"It was returned by:{Environment.NewLine}{Return}");
}
