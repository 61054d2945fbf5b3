using GracefulConnections;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Options;

namespace TcpProxy;

/// <summary>
/// How the connections of one leg close: a section with the names of <see cref="GracefulCloseOptions"/>.
/// </summary>
internal sealed class LegSettings(IConfigurationSection section)
{
    public void Apply(GracefulCloseOptions options)
    {
        section.Bind(options, binder => binder.ErrorOnUnknownConfiguration = true);
        options.AllowHalfOpen = true; // Not to be chosen: without it a peer that half-closes would end both directions.
    }

    /// <summary>Finds what is wrong before anything listens.</summary>
    public void Check(List<string> errors)
    {
        try
        {
            // As an endpoint checks it, which is what reads these options later.
            new LegBuilder(section.Path).UseGracefulShutdown(Apply);
        }
        catch (OptionsValidationException exception)
        {
            errors.AddRange(exception.Failures);
        }
        catch (InvalidOperationException exception)
        {
            // A value that cannot be read, or a name that does not exist: the message has the key and the value, the
            // inner one tells what is wrong with it.
            errors.Add($"{section.Path}: {exception.Message} {exception.InnerException?.Message} Use the names and values of {nameof(GracefulCloseOptions)}.");
        }
    }

    // Its name stands in the messages.
    private sealed class LegBuilder(string name) : ConnectionBuilder(new ServiceCollection().BuildServiceProvider())
    {
        public override string ToString() => name;
    }
}
