using System.Text.RegularExpressions;

namespace GracefulConnections.Docs.Tests.Errors;

/// <summary>
/// Every message says what was found, with its name or value; the rule; and what to do. As well as that can be told from
/// its words.
/// </summary>
public partial class ErrorMessageTests
{
    private const string InVain = "A test waited in vain for something of its own. Its author knows what should have come.";

    // A message that lacks a part, and why it may.
    private static readonly Dictionary<string, string> Exceptions = new()
    {
        ["{}: {} {}"] = "The validator of GracefulCloseOptions puts the name, the rule and the value together.",
        ["{}: {} {}, but was {}."] = "Validators put the name, the rule and the value together.",
        ["Cannot connect to {}: {}; no address was tried."] = "The network's answer. What to do is the caller's to know.",
        ["none of the name's addresses ({}) is of the family {}"] = "Becomes a part of the message above.",
        ["No connection ended within {}."] = InVain,
        ["Not true after {}: {}"] = InVain,
        ["The network does not answer for {}."] = InVain,
        ["The library does not close the connection {}."] = "Follows an option of the same test.",
        ["It failed in the network."] = "Wraps what failed, which says the rest.",
        ["{} {} failed with {}: {}"] = "The program's own words say the rest.",
        ["Poison at byte {} of {} received: the sender returned this memory before it was sent."] =
            "Is the fault that a test looks for.",
        ["A failed scenario names its fault."] = "A fault of the probe itself.",
        ["The connection has no TLS."] = "A fault of the probe itself.",
        ["\"{}\" has a backslash at character {} that begins none of \\r \\n \\t \\0 \\\\ \\xHH."] =
            "The rule is what to do.",
    };

    private static readonly IReadOnlyList<ErrorMessage> Messages =
        [.. ErrorMessages.Read().Where(static message => !Exceptions.ContainsKey(message.Text))];

    [Fact]
    public void Messages_Each_NamesWhatWasFound() => AssertAll(Found(), "names nothing that was found");

    [Fact]
    public void Messages_Each_SaysTheRule() => AssertAll(Rule(), "says no rule");

    [Fact]
    public void Messages_Each_SaysWhatToDo() => AssertAll(Advice(), "does not say what to do");

    [Fact]
    public void Messages_Each_EndsASentence() => AssertAll(Sentence(), "does not end with a full stop");

    [Fact]
    public void Exceptions_Each_IsInTheCode() => Faults.AssertNone(
        Exceptions.Keys.Except(ErrorMessages.Read().Select(static message => message.Text)));

    private static void AssertAll(Regex pattern, string otherwise)
    {
        Assert.NotEmpty(Messages);
        Faults.AssertNone(
            from message in Messages
            where !pattern.IsMatch(message.Text)
            select $"{message} [{otherwise}]");
    }

    // A value, a call, or an option or a member by its name.
    [GeneratedRegex(@"\{\}|\w+\(\)|\b[A-Z][a-z]+[A-Z]\w+|\b(read|write|flush|flushes|writer|handler|input|output|descriptor|interval|Interval|socket|namespace|peer)\b")]
    private static partial Regex Found();

    [GeneratedRegex(@"\b(must|may not|cannot|can not|only|already|before|one at a time|at the same time|twice|has ended|was completed|needs|never|could not|did not|does not|not within|none of|no address)\b")]
    private static partial Regex Rule();

    [GeneratedRegex(@"\b(Call|call|Use|Give|Run|Await|Read|Raise|End|Set|Put|Let|Write|Keep|Start|Stop|Add|Check|Do not|Return|Look|await|move|raise|must be|Connect|Install)\b")]
    private static partial Regex Advice();

    [GeneratedRegex(@"(\.|\{\})$")]
    private static partial Regex Sentence();
}
