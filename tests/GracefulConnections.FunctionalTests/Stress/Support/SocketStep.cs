namespace GracefulConnections.FunctionalTests.Stress.Support;

/// <param name="Act">What is done.</param>
/// <param name="Bytes">How much of it.</param>
internal readonly record struct SocketStep(SocketAct Act, int Bytes)
{
    public override string ToString() => Bytes == 0 ? Act.ToString() : $"{Act}({Bytes})";
}
