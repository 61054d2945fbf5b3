namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>What a play's connection is made of.</summary>
internal enum HabitWire
{
    /// <summary>TCP over IPv4.</summary>
    IPv4,

    /// <summary>TCP over IPv6.</summary>
    IPv6,

    /// <summary>A Unix domain socket.</summary>
    Unix,

    /// <summary>Multipath TCP on both sides. The listener comes by its handle, because Kestrel makes none such.</summary>
    Mptcp,
}
