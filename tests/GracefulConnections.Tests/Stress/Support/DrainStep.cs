namespace GracefulConnections.Tests.Stress.Support;

/// <param name="Act">What happens.</param>
/// <param name="Amount">Which connection or connections, or milliseconds of the clock.</param>
/// <param name="Within">Whether it happens while the next step is under way, as another thread would do it: at the first moment at which the coordinator has let go of its lock.</param>
internal readonly record struct DrainStep(DrainAct Act, int Amount, bool Within)
{
    public override string ToString() => $"{(Within ? "within the next: " : string.Empty)}{Act}({Amount})";
}
