using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>What is special about a play. Everything else is as its defaults are.</summary>
internal sealed record HabitSetup
{
    /// <summary>Gets how long a stop waits: <c>ShutdownTimeout</c> on stock, <c>DrainTimeout</c> on ours.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Gets the same for stock alone, where its peer would else wait for the end of it.</summary>
    public TimeSpan? StockPatience { get; init; }

    /// <summary>Gets what changes the options of <c>UseGracefulShutdown()</c>.</summary>
    public Action<GracefulCloseOptions>? Options { get; init; }

    /// <summary>Gets what stands before <c>UseGracefulShutdown()</c>, and on stock in the same place.</summary>
    public Action<ListenOptions>? Before { get; init; }

    /// <summary>Gets what stands between <c>UseGracefulShutdown()</c> and the handler.</summary>
    public Action<ListenOptions>? Behind { get; init; }

    /// <summary>Gets what changes the host.</summary>
    public Action<WebApplicationBuilder>? Build { get; init; }

    /// <summary>Gets the handler that stock plays, where the same one would need the library.</summary>
    public Func<ConnectionContext, HabitPlay, Task>? StockHandler { get; init; }

    /// <summary>Gets what changes the peer's socket before it connects.</summary>
    public Action<Socket>? Socket { get; init; }

    /// <summary>Gets whether the peer reads from its connect on. Else its script begins to.</summary>
    public bool ReadsAtOnce { get; init; } = true;

    /// <summary>Gets what the peer does before the handler is called, a TLS handshake for example.</summary>
    public Func<HabitPeer, Task>? Greet { get; init; }

    /// <summary>Gets what the connection is made of.</summary>
    public HabitWire Wire { get; init; }

    /// <summary>Gets the network in which the play takes place; <see langword="null"/> for the loopback.</summary>
    public NetworkNamespace? Network { get; init; }
}
