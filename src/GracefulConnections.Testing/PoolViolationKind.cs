namespace GracefulConnections.Testing;

/// <summary>How memory of a pool was used against the rules.</summary>
public enum PoolViolationKind
{
    /// <summary>Somebody wrote to a block after its return, when another connection could have rented it.</summary>
    WrittenAfterReturn,

    /// <summary>A block was returned twice, so that two connections could have rented it at once.</summary>
    ReturnedTwice,
}
