namespace GracefulConnections.Tests.Stress.Support;

/// <param name="Act">What happens.</param>
/// <param name="Amount">Bytes, or milliseconds of the clock.</param>
internal readonly record struct CloserStep(CloserAct Act, int Amount)
{
    public override string ToString() => Amount == 0 ? Act.ToString() : $"{Act}({Amount})";
}
