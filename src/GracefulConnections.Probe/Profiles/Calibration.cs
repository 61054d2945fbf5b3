namespace GracefulConnections.Probe.Profiles;

/// <summary>What a polite peer gets from the server: the measure for everything else.</summary>
/// <param name="ReplyBytes">The length of the reply to one request.</param>
/// <param name="LastReplyBytes">The length of the reply to the ending message.</param>
/// <param name="EndsItself">Whether the server ends the connection behind the ending message.</param>
/// <param name="IsOneShot">Whether it does so behind every request.</param>
/// <param name="Tls">The version of TLS that was agreed on.</param>
internal sealed record Calibration(int ReplyBytes, int LastReplyBytes, bool EndsItself, bool IsOneShot, string? Tls)
{
    // Much more than a peer's small window and a server's first send buffer hold.
    private const int LoadBytes = 1024 * 1024;

    /// <summary>Makes a load of about a megabyte of replies, or as much as the profile allows.</summary>
    /// <param name="withEnding">Whether the message behind which the server ends the connection is its last.</param>
    public Load CreateLoad(Profile profile, bool withEnding)
    {
        var fitting = (LoadBytes + ReplyBytes - 1) / ReplyBytes;
        return CreateLoad(profile, Math.Clamp(fitting, 1, profile.MaxPipelined), withEnding);
    }

    public Load CreateLoad(Profile profile, int requests, bool withEnding)
    {
        if (IsOneShot)
        {
            return new Load(profile.Request, 0, ReplyBytes, ReplyBytes);
        }

        var ending = withEnding && EndsItself ? profile.Ending ?? [] : [];
        var bytes = new byte[(requests * profile.Request.Length) + ending.Length];
        for (var i = 0; i < requests; i++)
        {
            profile.Request.CopyTo(bytes, i * profile.Request.Length);
        }

        ending.CopyTo(bytes, bytes.Length - ending.Length);
        var lastBytes = ending.Length > 0 ? LastReplyBytes : 0;
        return new Load(bytes, requests, ((long)requests * ReplyBytes) + lastBytes, lastBytes);
    }
}
