namespace GracefulConnections.Listening;

/// <summary>
/// What two processes say to each other, perhaps of different versions of the library.
/// The predecessor: <see cref="Hello"/>, <see cref="Socket"/> or <see cref="KeptSocket"/> for each socket,
/// <see cref="End"/>. The successor: <see cref="Ready"/>. The predecessor: <see cref="Gone"/> or <see cref="Late"/>.
/// </summary>
internal static class HandoverProtocol
{
    /// <summary>Begins the conversation. Another number at its end is another protocol.</summary>
    public const string Hello = "listener-handover 1";

    /// <summary>Ends it instead.</summary>
    public const string Refused = "refused, because it runs as another user";

    /// <summary>Ends it instead, too.</summary>
    public const string RefusedByFirst = "refused, because it is process 1 of its container, which ends with it";

    /// <summary>Comes with a descriptor. The socket's address follows.</summary>
    public const string Socket = "socket ";

    /// <summary>The same, of a socket that the service manager keeps in any case.</summary>
    public const string KeptSocket = "kept ";

    /// <summary>All sockets were sent.</summary>
    public const string End = "end";

    /// <summary>The successor has started. The addresses that it serves follow, each in a line.</summary>
    public const string Ready = "ready";

    /// <summary>The predecessor has stopped accepting at those addresses, and drains.</summary>
    public const string Gone = "gone";

    /// <summary>The successor has taken too long. The predecessor goes on serving.</summary>
    public const string Late = "late";

    /// <summary>Separates the lines of <see cref="Ready"/>. No address contains it.</summary>
    public const char Separator = '\n';

    /// <summary>How long one side waits where the other one has only to answer.</summary>
    public static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(5);
}
