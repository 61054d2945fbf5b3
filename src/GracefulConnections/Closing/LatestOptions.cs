using System.Diagnostics.CodeAnalysis;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Closing;

/// <summary>
/// Options that follow the configuration. A reload with values that are refused keeps those before: a gateway must not
/// lose its new connections for a slip in a file.
/// </summary>
/// <param name="monitor">Where they come from.</param>
/// <param name="check">Throws if a value is refused which the monitor lets through.</param>
/// <param name="logger">Where it is told, once for each new fault.</param>
internal sealed class LatestOptions<
    [DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicParameterlessConstructor)] TOptions>(
    IOptionsMonitor<TOptions> monitor, Action<TOptions> check, ILogger logger)
    where TOptions : class
{
    private volatile TOptions? _valid;
    private string? _fault;

    /// <summary>Gets the values of this moment, or the last ones that were not refused.</summary>
    /// <exception cref="OptionsValidationException">All were refused from the start.</exception>
    public TOptions Value
    {
        get
        {
            var valid = _valid;
            try
            {
                var current = monitor.CurrentValue;
                if (current != valid)
                {
                    check(current);
                    _valid = current;
                    Volatile.Write(ref _fault, null);
                }

                return current;
            }
            catch (Exception exception) when (valid is not null)
            {
                // The application's code that reads a configuration may throw whatever it likes.
                if (Interlocked.Exchange(ref _fault, exception.Message) != exception.Message)
                {
                    Log.OptionsKept(logger, typeof(TOptions).Name, exception.Message);
                }

                return valid;
            }
        }
    }
}
