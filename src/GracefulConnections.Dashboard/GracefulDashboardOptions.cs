namespace GracefulConnections;

/// <summary>What the dashboard shows, and whether it may do something.</summary>
public sealed class GracefulDashboardOptions
{
    /// <summary>
    /// Gets or sets whether the page may drain connections and abort one. The default is <see langword="false"/>: it
    /// only shows. <see langword="true"/> needs an <see cref="ActionPolicy"/>, and
    /// <c>builder.Services.AddAntiforgery()</c>.
    /// </summary>
    public bool AllowActions { get; set; }

    /// <summary>
    /// Gets or sets the name of the authorization policy that whoever drains or aborts must meet. The default is
    /// <see langword="null"/>. Without one there are no actions.
    /// </summary>
    public string? ActionPolicy { get; set; }

    /// <summary>
    /// Gets or sets the time between two pictures of the server that the page gets. From 100 ms to one minute; the
    /// default is 1 s. During a drain it is 100 ms at most, so that the page does not hold the stop.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is shorter or longer than that.</exception>
    public TimeSpan Interval
    {
        get;
        set
        {
            if (value < TimeSpan.FromMilliseconds(100) || value > TimeSpan.FromMinutes(1))
            {
                throw new ArgumentOutOfRangeException(
                    nameof(value),
                    value,
                    "Interval of the dashboard must be from 100 ms to 1 minute. Set it to 1 s if in doubt.");
            }

            field = value;
        }
    }
    = TimeSpan.FromSeconds(1);
}
