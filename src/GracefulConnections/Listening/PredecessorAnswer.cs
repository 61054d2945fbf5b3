namespace GracefulConnections.Listening;

/// <summary>What became of the predecessor when its successor was ready.</summary>
internal enum PredecessorAnswer
{
    /// <summary>It has ended, or stands still.</summary>
    None,

    /// <summary>It has stopped accepting.</summary>
    Gone,

    /// <summary>It had given up waiting, and serves on.</summary>
    Late,
}
