namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>What can be wrong with how a hostile connection ended.</summary>
internal enum HostileViolation
{
    /// <summary>The peer misses bytes, and the library or the end of the stream said that it does not.</summary>
    Lost,

    /// <summary>The library told something else than what happened.</summary>
    Wrong,

    /// <summary>The peer received memory that nobody had given to be sent.</summary>
    Poisoned,

    /// <summary>The connection did not come to its end.</summary>
    Hung,
}
