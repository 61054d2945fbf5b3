using RespServer.Protocol;

namespace RespServer;

/// <summary>One client, for as long as it is connected.</summary>
internal sealed class Session(ReplyWriter reply)
{
    public ReplyWriter Reply { get; } = reply;

    /// <summary>Gets or sets the name that the client gave itself, for whoever looks for it.</summary>
    public byte[] ClientName { get; set; } = [];

    /// <summary>Gets whether the client gets no more replies: it said QUIT, or what it sends cannot be understood any more.</summary>
    public bool HasEnded { get; private set; }

    public void End() => HasEnded = true;
}
