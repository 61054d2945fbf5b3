using GracefulConnections.Pipeline;

namespace GracefulConnections.Tests.Support;

/// <summary>Requests a close for a reason that only the library itself gives, such as a drain or an age.</summary>
internal static class CloseRequests
{
    public static void RequestClose(this IGracefulCloseFeature feature, CloseReason reason) =>
        ((GracefulConnection)feature).RequestClose(reason);
}
