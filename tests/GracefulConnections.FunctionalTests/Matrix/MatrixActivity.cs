namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>What the server does when the connection ends.</summary>
public enum MatrixActivity
{
    Idle,

    /// <summary>Its reply is on its way, and more than the peer has read.</summary>
    Sending,

    /// <summary>The peer has sent a part of what it is going to send.</summary>
    Receiving,
}
