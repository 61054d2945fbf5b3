namespace GracefulConnections.Docs.Tests.Markdown;

/// <summary>A block of code between two fences.</summary>
/// <param name="Page">The page's path.</param>
/// <param name="Line">The number of its first line.</param>
/// <param name="Info">What stands behind the opening fence: the language, and words of the project's own.</param>
/// <param name="Text">The code.</param>
internal sealed record CodeBlock(string Page, int Line, string Info, string Text)
{
    public string Language => Info.Split(' ')[0];

    public bool IsFragment => Info.Split(' ').Contains("fragment");

    public override string ToString() => $"{Page}:{Line}";
}
