namespace GracefulConnections.Probe.Wire;

/// <summary>Why a read of the probe came back.</summary>
internal enum ReadOutcome
{
    /// <summary>As many bytes as were asked for are there.</summary>
    Reached,

    /// <summary>The server ended the connection.</summary>
    Ended,

    /// <summary>Nothing came for as long as the probe was to wait.</summary>
    Silent,
}
