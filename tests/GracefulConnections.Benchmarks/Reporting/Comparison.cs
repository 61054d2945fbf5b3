namespace GracefulConnections.Benchmarks.Reporting;

/// <summary>How ours is set against stock.</summary>
internal enum Comparison
{
    /// <summary>Ours divided by stock's; more is better.</summary>
    RatioAtLeast,

    /// <summary>Ours divided by stock's; less is better.</summary>
    RatioAtMost,

    /// <summary>Ours minus stock's; less is better.</summary>
    DifferenceAtMost,

    /// <summary>Ours alone; less is better.</summary>
    OursAtMost,
}
