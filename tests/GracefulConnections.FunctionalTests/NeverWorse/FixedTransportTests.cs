using System.IO.Pipelines;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>A middleware that gives on a connection of its own, whose transport nobody can replace.</summary>
public class FixedTransportTests
{
    private const int ReplyBytes = 3_000_000;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Transport_CannotBeSet_HandlerIsServedAsOnStock(bool throws)
    {
        var played = await Habit.CompareAsync(
            static async (connection, _) =>
            {
                await connection.ReadExactlyAsync(7);
                await connection.SendAsync(ReplyBytes);
            },
            static async play =>
            {
                await play.Peer.SendAsync("request");
                await play.Peer.EndedAsync();
            },
            new HabitSetup
            {
                Before = endpoint => endpoint.Use(
                    next => connection => next(new FixedConnection(connection, throws))),
            });

        played.Print();
        Assert.Equal((ReplyBytes, PeerSaw.Eof), (played.Stock.Received.Length, played.Stock.End));
        Assert.Equal((ReplyBytes, PeerSaw.Eof), (played.Ours.Received.Length, played.Ours.End));
        Assert.Null(played.Ours.Fault);
        Assert.Empty(played.Ours.Errors);
    }

    private sealed class FixedConnection(ConnectionContext connection, bool throws) : ConnectionContext
    {
        public override string ConnectionId
        {
            get => connection.ConnectionId;
            set => connection.ConnectionId = value;
        }

        public override IFeatureCollection Features => connection.Features;

        public override IDictionary<object, object?> Items
        {
            get => connection.Items;
            set => connection.Items = value;
        }

        public override CancellationToken ConnectionClosed
        {
            get => connection.ConnectionClosed;
            set => connection.ConnectionClosed = value;
        }

        public override IDuplexPipe Transport
        {
            get => connection.Transport;
            set
            {
                if (throws)
                {
                    throw new NotSupportedException("The transport of this connection is fixed.");
                }
            }
        }

        public override void Abort(ConnectionAbortedException abortReason) => connection.Abort(abortReason);
    }
}
