namespace GracefulConnections.Frameworks.Tests.Support;

/// <summary>What of the library a server uses.</summary>
public enum Setup
{
    Stock,

    /// <summary><c>UseGracefulShutdown()</c> on its endpoint.</summary>
    Closing,

    /// <summary><c>AddGracefulShutdown()</c> as well.</summary>
    Draining,
}
