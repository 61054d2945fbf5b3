namespace GracefulConnections.Tests.Stress.Support;

/// <summary>One thing that the server, its host, an operator or a connection can do to a coordinator.</summary>
internal enum DrainAct
{
    Accept,
    End,
    RequestByServer,
    DrainPart,
    DrainLive,
    AnnounceStop,
    StopServer,
    BeginStop,
    AbortNow,
    Advance,
}
