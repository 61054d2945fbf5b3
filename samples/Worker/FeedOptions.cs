namespace Worker;

/// <summary>The section <c>Feed</c> of the configuration.</summary>
internal sealed class FeedOptions
{
    /// <summary>Gets or sets the time between two ticks. Defaults to 100 milliseconds.</summary>
    public TimeSpan Interval { get; set; } = TimeSpan.FromMilliseconds(100);
}
