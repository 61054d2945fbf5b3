using GracefulConnections.Closing;
using GracefulConnections.Draining;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Pipeline;

/// <summary>A connection as a member of the server's drain, with the handler that the drain can abandon.</summary>
internal sealed class DrainMember(GracefulConnection connection, DrainCoordinator drain) : HandlerRun
{
    private long _deliveredBytes; // So many bytes of output the peer's kernel is known to have acknowledged.

    public override string Id => connection.ConnectionId;

    public override CloseState State => connection.State;

    public override CloseResult? Result => connection.Closer.Result;

    public override long StartTimestamp => connection.Activity.StartedAt;

    public override ConnectionActivity Activity
    {
        get
        {
            var innermost = connection.Inner ?? connection;
            return GetActivity(innermost, innermost.Closer.Facts);
        }
    }

    protected override ConnectionContext Connection => connection;

    /// <summary>Registers the connection. A drain that has begun asks it to close right here.</summary>
    public void Enter() => drain.Registry.Add(this);

    public void Leave(in CloseResult result) => drain.Registry.Remove(this, result);

    /// <summary>The server asked the connection to close, for its own stop or for that of an endpoint.</summary>
    public void OnServerRequest() => drain.OnServerRequest(this);

    public override TrackedConnectionInfo GetInfo()
    {
        var innermost = connection.Inner ?? connection; // Inside of TLS are the bytes that the handler knows.
        var (input, output) = (innermost.Input, innermost.Output);
        ref var bytes = ref innermost.Activity;
        var facts = connection.Closer.Facts; // Once, because there may be thousands of connections.
        var inside = innermost == connection ? facts : innermost.Closer.Facts;
        var activity = GetActivity(innermost, inside);
        var clock = bytes.Clock;
        var lastByteAt = bytes.LastByteAt;
        var age = clock.GetElapsedTime(StartTimestamp);
        var written = output.WrittenBytes;
        var delivery = GetDelivery(output, written);
        return new TrackedConnectionInfo
        {
            ConnectionId = Id,
            LocalEndPoint = connection.LocalEndPoint,
            RemoteEndPoint = connection.RemoteEndPoint,
            IsOutgoing = IsOutgoing,
            IsTls = connection.IsTls || innermost.IsTls,
            Tag = connection.Tag,
            State = inside.IsFinal ? facts.State : inside.State,
            Reason = facts.Reason,
            IsCloseRequested = facts.IsRequested,
            Activity = activity,
            Age = age,
            BusyTime = activity != ConnectionActivity.Busy ? TimeSpan.Zero
                : bytes.BusySince is > 0 and var busySince ? clock.GetElapsedTime(busySince)
                : age,
            IdleTime = lastByteAt > 0 ? clock.GetElapsedTime(lastByteAt) : age,
            ReceivedBytes = input.ReceivedBytes,
            WrittenBytes = written,
            UnacknowledgedBytes = delivery.UnacknowledgedBytes,
            IsPeerWindowClosed = delivery.IsWindowClosed,
        };
    }

    // On the thread pool, because the callbacks of the token are the application's and thousands wait for their turn.
    public override void Ask(CloseReason reason, TimeSpan lingerCap)
    {
        connection.CapLinger(lingerCap);
        ThreadPool.UnsafeQueueUserWorkItem(
            static state => state.connection.RequestClose(state.reason), (connection, reason), preferLocal: false);
    }

    public override void Abort(CloseReason reason, bool isLimit) =>
        connection.RequestClose(reason, abort: true, isLimit);

    // A question to the kernel costs more than all the rest, so it is asked only while something may be undelivered.
    private DeliveryStatus GetDelivery(TransportOutput output, long written)
    {
        if (Volatile.Read(ref _deliveredBytes) == written)
        {
            return new DeliveryStatus(0, IsDelivered: false, IsReset: false, 0);
        }

        var delivery = output.GetDelivery();
        if (delivery.UnacknowledgedBytes == 0)
        {
            Volatile.Write(ref _deliveredBytes, written);
        }

        return delivery;
    }

    private static ConnectionActivity GetActivity(GracefulConnection innermost, in CloseFacts facts)
    {
        if (facts.HandlerReturned || facts.IsFinal)
        {
            return ConnectionActivity.Idle;
        }

        if (innermost.Closer.HasOpenScope)
        {
            return ConnectionActivity.Busy;
        }

        if (innermost.Input.ReceivedBytes == 0 && innermost.Output.WrittenBytes == 0)
        {
            return ConnectionActivity.Idle;
        }

        // An aware handler may wait for the next bytes beside what it answers, as HTTP/2 does.
        return innermost.IsAware ? ConnectionActivity.Unknown
            : innermost.Input.IsWaitingForMessage ? ConnectionActivity.Idle
            : ConnectionActivity.Busy;
    }
}
