namespace RespServer.Protocol;

/// <summary>What the client sent is not RESP, or more of it than <see cref="Limits"/> allow. The message is for the client.</summary>
internal sealed class ProtocolException(string message) : Exception(message);
