using Microsoft.AspNetCore.Connections;

namespace Microsoft.AspNetCore.Server.Kestrel.Https.Internal;

/// <summary>Stands for Kestrel's own, by its name. What it does is for the functional tests, which have Kestrel.</summary>
internal sealed class HttpsConnectionMiddleware(ConnectionDelegate next)
{
    public Task OnConnectionAsync(ConnectionContext connection) => next(connection);
}
