using GracefulConnections.Diagnostics;

namespace GracefulConnections.Draining;

/// <summary>
/// A thread for the time of a stop, which does what is due. Timers need a free thread of the pool, and handlers that
/// block their threads leave none.
/// </summary>
internal sealed class StopThread : IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);

    private readonly DrainContext _context;
    private readonly Action _drive;
    private readonly ManualResetEventSlim _ended = new();
    private long _endsAtTicks = long.MaxValue;

    public StopThread(DrainContext context, Action drive)
    {
        (_context, _drive) = (context, drive);
        new Thread(Run) { IsBackground = true, Name = "GracefulConnections stop" }.UnsafeStart();
    }

    /// <summary>Ends soon: the host has stopped, and only its last steps need threads of the pool.</summary>
    public void EndSoon() => Volatile.Write(ref _endsAtTicks, (_context.Now + BatchPlan.ExitTime).Ticks);

    public void Dispose() => _ended.Set();

    private void Run()
    {
        using var relief = new PoolRelief();
        while (!_ended.Wait(Interval) && _context.Now.Ticks < Volatile.Read(ref _endsAtTicks))
        {
            try
            {
                _drive();
                relief.Look(_context.Now);
            }
            catch (Exception exception)
            {
                Log.StopThreadFaulted(_context.Logger, exception); // A fault of the library's; the rest goes on.
            }
        }
    }
}
