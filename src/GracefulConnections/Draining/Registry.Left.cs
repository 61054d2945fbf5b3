using GracefulConnections.Diagnostics;

namespace GracefulConnections.Draining;

/// <content>What operators ask.</content>
internal sealed partial class Registry
{
    /// <summary>Gets how many connections the batches that have not ended wait for.</summary>
    public int LeftCount
    {
        get
        {
            Interleaving.Point();
            lock (context.Lock)
            {
                return _batches.Sum(static batch => batch.LeftCount_NeedsLock);
            }
        }
    }
}
