using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Internal;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <summary>
/// The host's lifetime, whose <c>StopApplication()</c> announces the drain and fires <c>ApplicationStopping</c> when
/// the announcement's delay is over: what stops there, such as SignalR, must not stop while clients still come.
/// </summary>
/// <remarks>
/// <c>Host</c> demands this base class and calls the base's method, at a point where <c>StoppingAsync</c> has
/// announced. Everybody else calls the interface: the console's, systemd's and the Windows service's lifetime (the
/// last one was read, not run).
/// </remarks>
internal sealed class AnnouncingLifetime(ILogger<ApplicationLifetime> logger)
    : ApplicationLifetime(logger), IHostApplicationLifetime
{
    /// <summary>Sets who announces. Set at the host's start, because the host's constructor needs this.</summary>
    public DrainCoordinator? Coordinator { private get; set; }

    public new void StopApplication()
    {
        if (!ApplicationStarted.IsCancellationRequested)
        {
            Coordinator?.EndDelay(); // A host that is starting serves nobody yet, and stops at once.
            base.StopApplication();
        }
        else if (Coordinator?.BeginStop() is { IsCompleted: false } announced)
        {
            // It fires once, however often it is called.
            announced.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(base.StopApplication);
        }
        else
        {
            base.StopApplication();
        }
    }
}
