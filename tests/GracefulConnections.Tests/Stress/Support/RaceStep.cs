namespace GracefulConnections.Tests.Stress.Support;

/// <summary>An act and how much of it.</summary>
internal readonly record struct RaceStep(RaceAct Act, int Amount)
{
    public override string ToString() => Amount == 0 ? $"{Act}" : $"{Act}({Amount})";
}
