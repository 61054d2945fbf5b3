namespace GracefulConnections;

/// <summary>How one drain of a part differs from <see cref="ServerDrainOptions"/>.</summary>
public sealed class DrainOptions
{
    /// <summary>
    /// Gets or sets when what is left is aborted. Defaults to <see langword="null"/>:
    /// <see cref="ServerDrainOptions.DrainTimeout"/>.
    /// </summary>
    /// <value>A positive time of at most a day.</value>
    /// <exception cref="ArgumentOutOfRangeException">The value is another one.</exception>
    public TimeSpan? Timeout
    {
        get;
        set
        {
            var time = value ?? TimeSpan.FromDays(1);
            ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(time, TimeSpan.Zero, nameof(value));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(time, TimeSpan.FromDays(1), nameof(value));
            field = value;
        }
    }

    /// <summary>
    /// Gets or sets the time over which the close requests are spread. Defaults to <see langword="null"/>:
    /// <see cref="ServerDrainOptions.SpreadWindow"/>.
    /// </summary>
    /// <value>Zero or more. At most half of the timeout is used, so that the last connections have time to end.</value>
    /// <exception cref="ArgumentOutOfRangeException">The value is negative.</exception>
    public TimeSpan? SpreadWindow
    {
        get;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value ?? TimeSpan.Zero, TimeSpan.Zero, nameof(value));
            field = value;
        }
    }

    /// <summary>
    /// Gets or sets why the part is drained, for the log. Defaults to <see langword="null"/>: nothing is said.
    /// </summary>
    public string? Description { get; set; }
}
