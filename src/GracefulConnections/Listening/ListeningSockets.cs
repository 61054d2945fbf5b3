using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Listening;

/// <summary>
/// The listening sockets of this process: those that were passed to it and wait for an endpoint, and those that
/// endpoints use.
/// </summary>
internal sealed class ListeningSockets(ILoggerFactory loggers)
{
    private readonly ILogger _logger = GuardedLogger.Around(loggers.CreateLogger(Log.Category));
    private readonly Lock _lock = new();
    private readonly List<ListeningSocket> _passed = [];
    private readonly List<HandoverListener> _active = [];
    private readonly HashSet<string> _forgotten = []; // Addresses.
    private readonly TaskCompletionSource _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ServiceManager? _manager;
    private volatile bool _isStopping;
    private volatile bool _areLeftToSuccessor;
    private volatile bool _areOffered;

    /// <summary>Gets a task that completes when connections may be accepted.</summary>
    public Task Opened => _opened.Task;

    /// <summary>Gets the listeners of all endpoints.</summary>
    public HandoverListener[] Active
    {
        get
        {
            lock (_lock)
            {
                return [.. _active];
            }
        }
    }

    /// <summary>
    /// Gets or sets whether this process stops while a successor that has the sockets is still starting. The files of
    /// Unix domain sockets are the successor's then.
    /// </summary>
    public bool AreLeftToSuccessor
    {
        get => _areLeftToSuccessor;
        set => _areLeftToSuccessor = value;
    }

    /// <summary>Adds a socket that was passed to this process. One for each address is enough.</summary>
    public void AddPassed(ListeningSocket socket)
    {
        bool isKnown;
        lock (_lock)
        {
            isKnown = _passed.Exists(known => known.Address == socket.Address);
            if (!isKnown)
            {
                _passed.Add(socket);
            }
        }

        if (isKnown)
        {
            socket.Dispose(); // The service manager and the predecessor hold the same one.
        }
    }

    /// <summary>Returns the passed socket of an endpoint, which owns it from now on.</summary>
    public ListeningSocket? TryTake(Predicate<ListeningSocket> isMatch)
    {
        lock (_lock)
        {
            var index = _passed.FindIndex(isMatch);
            var socket = index < 0 ? null : _passed[index];
            if (index >= 0)
            {
                _passed.RemoveAt(index);
            }

            return socket;
        }
    }

    public void Add(HandoverListener listener)
    {
        lock (_lock)
        {
            _active.Add(listener);
        }

        if (_opened.Task.IsCompleted)
        {
            Store(listener); // The configuration was reloaded, and has a new endpoint.
        }
    }

    public void Remove(HandoverListener listener)
    {
        var isGone = !_isStopping && _manager is not null;
        lock (_lock)
        {
            _active.Remove(listener);
            if (isGone)
            {
                _forgotten.Add(listener.Socket.Address);
            }
        }

        // The configuration was reloaded, and has the endpoint no longer. A server that stops may come again.
        if (isGone)
        {
            _manager!.Forget(listener.Socket.Address);
        }
    }

    /// <summary>
    /// Returns whether a reload of the configuration must not close a socket: the endpoint may come again at once, as
    /// with another certificate, and whoever else holds the socket keeps the address from being bound anew.
    /// </summary>
    public bool IsHeldByOthers(ListeningSocket socket) => !_isStopping && (_areOffered || IsHeldForGood(socket));

    /// <summary>Takes back the socket of an endpoint that may come again.</summary>
    public void TakeBack(HandoverListener listener)
    {
        lock (_lock)
        {
            _active.Remove(listener);
            _passed.Add(listener.Socket);
        }
    }

    /// <summary>Returns whether the service manager was asked to forget an address. It may still hold it.</summary>
    public bool WasForgotten(string address)
    {
        lock (_lock)
        {
            return _forgotten.Contains(address);
        }
    }

    /// <summary>From now on a successor that is starting holds the sockets, too.</summary>
    public void BeginOffer() => _areOffered = true;

    /// <summary>The successor has started or ended. Closes what no endpoint asked for again.</summary>
    public void EndOffer()
    {
        _areOffered = false;
        ListeningSocket[] gone;
        lock (_lock)
        {
            gone = [.. _passed.Where(static socket => !IsHeldForGood(socket))];
            _passed.RemoveAll(static socket => !IsHeldForGood(socket));
        }

        Array.ForEach(gone, static socket => socket.Dispose());
    }

    /// <summary>
    /// From now on connections are accepted. Closes what was passed and no endpoint asked for, unless the application
    /// may use it without one, and leaves what is new with the service manager.
    /// </summary>
    public void Open(ServiceManager? manager)
    {
        _manager = manager;
        _opened.TrySetResult();
        Array.ForEach(Active, Store);
        ListeningSocket[] unclaimed;
        ListeningSocket[] left;
        lock (_lock)
        {
            unclaimed = [.. _passed.Where(static socket => !socket.IsOfUnit)];
            left = [.. _passed.Where(static socket => socket.IsOfUnit)];
            _passed.Clear();
        }

        Array.ForEach(left, static socket => socket.Leave());
        foreach (var socket in unclaimed)
        {
            socket.Dispose(); // It would go on listening with nobody to accept.
            manager?.Forget(socket.Address);
        }

        var bound = List(
            Active.Where(static listener => !listener.WasPassed).Select(static listener => listener.Socket));
        if (unclaimed.Length > 0)
        {
            Log.SocketsUnclaimed(_logger, List(unclaimed), bound);
        }

        if (left.Length > 0)
        {
            Log.SocketsLeft(_logger, List(left), bound);
        }
    }

    /// <summary>The host stops: what endpoints release from now on, the next process needs again.</summary>
    public void OnStopping() => _isStopping = true;

    private static bool IsHeldForGood(ListeningSocket socket) => socket is { IsKept: true, IsStored: false };

    private static string List(IEnumerable<ListeningSocket> sockets)
    {
        var text = string.Join(", ", sockets.Select(static socket => socket.Address));
        return text.Length > 0 ? text : "none";
    }

    private void Store(HandoverListener listener)
    {
        if (!listener.WasPassed && listener.Socket is { File: null, CanBeHandedOver: true })
        {
            _manager?.Store(listener.Socket);
        }
    }
}
