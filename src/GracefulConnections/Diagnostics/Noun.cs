using System.Globalization;

namespace GracefulConnections.Diagnostics;

/// <summary>A word that is counted: <c>1 connection</c>, <c>2 connections</c>.</summary>
internal readonly record struct Noun(string One, string Many)
{
    public static readonly Noun Connections = new("connection", "connections");
    public static readonly Noun Bytes = new("byte", "bytes");
    public static readonly Noun Messages = new("message", "messages");
    public static readonly Noun Handlers = new("handler", "handlers");

    public string Of(long count) => count == 1 ? One : Many;

    public string Count(long count) => string.Create(CultureInfo.InvariantCulture, $"{count} {Of(count)}");
}
