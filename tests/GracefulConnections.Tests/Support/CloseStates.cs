namespace GracefulConnections.Tests.Support;

/// <summary>What is true of states of a close.</summary>
internal static class CloseStates
{
    public static bool IsFinal(this CloseState state) => state is CloseState.Closed or CloseState.Aborted;
}
