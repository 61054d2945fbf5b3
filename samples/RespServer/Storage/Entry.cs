namespace RespServer.Storage;

/// <summary>A value and when it expires.</summary>
/// <param name="Value">Never changed once it is here, so that it can be sent while others replace it.</param>
/// <param name="ExpiresAt">In milliseconds since 1970, or <see cref="Never"/>.</param>
internal readonly record struct Entry(byte[] Value, long ExpiresAt)
{
    public const long Never = long.MaxValue;
}
