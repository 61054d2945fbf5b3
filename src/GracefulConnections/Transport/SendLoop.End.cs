using System.Diagnostics;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <content>How the output ends, and when its memory goes back.</content>
internal sealed partial class SendLoop
{
    private static SendFlags ToFlags(LeftOver leftOver) =>
        leftOver is LeftOver.SendThenReset or LeftOver.SendThenClose ? SendFlags.EndsByReset
        : leftOver == LeftOver.Abandon ? SendFlags.KeepsMemory
        : SendFlags.None;

    private async Task SendEndAsync()
    {
        try
        {
            if (_state.Has(SendFlags.EndsByReset))
            {
                Finish(SendFlags.AllSent);
                Events.OnAllSent();
                return;
            }

            Events.OnFinSending();
            await sink.EndAsync(WrittenBytes, SentBytes).ConfigureAwait(false);
            Finish(SendFlags.FinSent);
            Events.OnFinSent();
        }
        catch (Exception exception)
        {
            Fail(exception); // As in Run.
        }
    }

    // How a send ends that was aborted is nobody's matter.
    private void Fail(Exception exception)
    {
        if (!_state.Has(SendFlags.Aborted))
        {
            TellFault(exception); // First: the flush that returns next ends the handler, and the first cause wins.
        }

        Finish();
    }

    /// <summary>Nothing is sent any more. A blocked flush returns, and what was not sent is thrown away.</summary>
    /// <param name="how">How it ended well.</param>
    private void Finish(SendFlags how = SendFlags.None)
    {
        Debug.Assert(_state.IsOwned, "Only the one who sends may end the sending.");
        if (!_state.Has(SendFlags.Finished))
        {
            _state.Set(how); // First: the flush that returns next may ask.
            _reader!.Complete();
            _state.Set(SendFlags.Finished);
            Interleaving.Point();
            _work?.Lent?.End(isOver: true);
            ReleaseMemory();
            _ended?.TrySetResult();
        }
    }

    // Whichever of the two ends comes last gives the memory back. Never while a send reads from it, or while a writer
    // may still write to it: then the garbage collector has it.
    private void ReleaseMemory()
    {
        if (!_state.Has(SendFlags.Ending) || !_state.Has(SendFlags.Finished))
        {
            return;
        }

        if (!_state.Has(SendFlags.KeepsMemory))
        {
            Writer.Complete();
        }

        if (IsSealed)
        {
            // Whoever sends has ended, but it may not have come to the lent send.
            _reader = null;
            Interleaving.Point();
            Interlocked.Exchange(ref _work, null)?.Lent?.End(isOver: true);
            ReleaseWriter();
        }
    }
}
