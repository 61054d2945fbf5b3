namespace GracefulConnections.Transport;

/// <summary>
/// What the two directions of a connection tell the one who closes it. Called without a lock held.
/// </summary>
internal interface ITransportEvents
{
    /// <summary>Gets when bytes went either way, which the two directions note.</summary>
    ref Activity Activity { get; }

    /// <summary>The handler completed its output; our FIN will follow what was written.</summary>
    void OnOutputCompleted();

    /// <summary>The handler completed its output with an error. What it flushed is still sent.</summary>
    /// <returns>
    /// What follows: our FIN where nothing is known to be missing. Otherwise <see cref="OnAllSent"/> is told.
    /// </returns>
    LeftOver OnOutputFaulted(Exception exception);

    /// <summary>Our FIN is about to leave: what the peer answers to it comes after this.</summary>
    void OnFinSending()
    {
    }

    /// <summary>Everything was handed to the kernel, and our FIN behind it.</summary>
    void OnFinSent();

    /// <summary>Everything was handed to the kernel, and no FIN follows: an abort is to come.</summary>
    void OnAllSent()
    {
    }

    /// <summary>Everything the peer sent was read, and its FIN. Only told once the input is being discarded.</summary>
    void OnPeerFin();

    /// <summary>The peer sent something that nobody reads any more.</summary>
    void OnBytesDiscarded();

    /// <summary>The handler waits in a read, and a close was requested.</summary>
    void OnWaiting()
    {
    }

    /// <summary>
    /// Reading or sending failed: the connection is over. <see cref="TransportFault.IsReset"/> tells whose
    /// doing it was.
    /// </summary>
    void OnFaulted(Exception exception);
}
