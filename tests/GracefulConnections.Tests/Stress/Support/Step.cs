namespace GracefulConnections.Tests.Stress.Support;

/// <param name="Act">What happens.</param>
/// <param name="Amount">Bytes, or milliseconds of the clock.</param>
internal readonly record struct Step(Act Act, int Amount)
{
    public override string ToString() => Act is Act.Write or Act.WriteBesidePending or Act.Buffer or Act.Read or Act.PeerSend or Act.Advance ? $"{Act}({Amount})" : Act.ToString();
}
