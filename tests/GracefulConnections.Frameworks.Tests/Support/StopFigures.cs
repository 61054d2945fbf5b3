using System.Globalization;

namespace GracefulConnections.Frameworks.Tests.Support;

/// <summary>What a stop cost the clients whose calls were in hand.</summary>
/// <param name="Calls">How many calls were in hand.</param>
/// <param name="Lost">How many of them had no answer.</param>
/// <param name="Resets">How many clients saw a reset.</param>
/// <param name="Seconds">How long the stop took.</param>
internal sealed record StopFigures(int Calls, int Lost, int Resets, double Seconds)
{
    // What a stop costs on a busy machine, besides what it waits for.
    private const double Tolerance = 2;

    public void AssertNoneWorseThan(StopFigures stock)
    {
        Assert.InRange(Lost, 0, stock.Lost);
        Assert.InRange(Resets, 0, stock.Resets);
        Assert.InRange(Seconds, 0, stock.Seconds + Tolerance);
    }

    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{Calls} calls in hand, {Lost} lost, {Resets} reset, {Seconds:0.0} s");
}
