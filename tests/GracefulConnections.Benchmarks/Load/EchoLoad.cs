using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Benchmarks.Load;

/// <summary>
/// Connections that each have one message under way at any time. A few threads with non-blocking sockets and poll(2) below <see cref="Socket.Select(System.Collections.IList, System.Collections.IList, System.Collections.IList, TimeSpan)"/>:
/// no tasks, no allocation, so that the server remains the one that costs.
/// </summary>
internal sealed class EchoLoad : ILoad
{
    private const int ThreadCount = 2;

    private static readonly TimeSpan StallLimit = TimeSpan.FromSeconds(10);

    private readonly EchoConnection[][] _connections;

    public EchoLoad(IPEndPoint endPoint, int connections, int messageBytes)
    {
        var message = new byte[messageBytes];
        Random.Shared.NextBytes(message);
        _connections = new EchoConnection[ThreadCount][];
        for (var i = 0; i < ThreadCount; i++)
        {
            _connections[i] = new EchoConnection[(connections + i) / ThreadCount]; // Of an odd number, the last has one more.
            for (var j = 0; j < _connections[i].Length; j++)
            {
                _connections[i][j] = new EchoConnection(endPoint, message);
            }
        }
    }

    public LoadResult Run(TimeSpan duration) => LoadThreads.Run(ThreadCount, duration, (index, stopAt, latencies) => Run(_connections[index], stopAt, latencies));

    public void Dispose()
    {
        foreach (var connection in _connections.SelectMany(static connections => connections))
        {
            connection.Dispose();
        }
    }

    private static long Run(EchoConnection[] connections, long stopAt, LatencyHistogram latencies)
    {
        var bySocket = connections.ToDictionary(static connection => connection.Socket);
        var reading = new List<Socket>(connections.Length);
        var writing = new List<Socket>(connections.Length);
        var underWay = connections.Length;
        long count = 0;
        foreach (var connection in connections)
        {
            connection.Start();
        }

        // To the last reply, so that the next window begins with quiet connections.
        while (underWay > 0)
        {
            reading.Clear();
            writing.Clear();
            foreach (var connection in connections)
            {
                if (connection.IsUnderWay)
                {
                    reading.Add(connection.Socket);
                }

                if (connection.HasToSend)
                {
                    writing.Add(connection.Socket);
                }
            }

            Socket.Select(reading, writing.Count == 0 ? null : writing, null, StallLimit);
            if (reading.Count == 0 && writing.Count == 0)
            {
                throw new TimeoutException($"The server sent nothing for {StallLimit.TotalSeconds} s.");
            }

            foreach (var socket in writing)
            {
                bySocket[socket].Send();
            }

            foreach (var socket in reading)
            {
                var connection = bySocket[socket];
                if (!connection.TryReceive())
                {
                    continue;
                }

                count++;
                var now = Stopwatch.GetTimestamp();
                latencies.Note(now - connection.StartedAt);
                if (now < stopAt)
                {
                    connection.Start();
                }
                else
                {
                    underWay--;
                }
            }
        }

        return count;
    }
}
