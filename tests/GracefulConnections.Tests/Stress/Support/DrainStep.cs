namespace GracefulConnections.Tests.Stress.Support;

/// <param name="Act">What happens.</param>
/// <param name="Amount">Which connection or connections, or milliseconds of the clock.</param>
/// <param name="Within">0 for a step of its own. Else it happens while the next step is under way, as another thread would do it: at the first, second, third, ... moment at which the
/// coordinator has let go of its lock.</param>
internal readonly record struct DrainStep(DrainAct Act, int Amount, int Within)
{
    public override string ToString() => $"{(Within > 0 ? $"within the next at {Within}: " : string.Empty)}{Act}({Amount})";
}
