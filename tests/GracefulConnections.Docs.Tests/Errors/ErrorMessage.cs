namespace GracefulConnections.Docs.Tests.Errors;

/// <summary>A message of an exception, as it stands in the code.</summary>
/// <param name="File">The path of the file.</param>
/// <param name="Line">The number of the line.</param>
/// <param name="Text">The text, with <c>{}</c> for each value.</param>
internal sealed record ErrorMessage(string File, int Line, string Text)
{
    public override string ToString() => $"{File}:{Line}: {Text}";
}
