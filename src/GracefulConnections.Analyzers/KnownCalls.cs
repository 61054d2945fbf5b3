using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace GracefulConnections.Analyzers;

/// <summary>The calls that the rules are about, found by name and by the namespace of what declares them.</summary>
internal static class KnownCalls
{
    /// <summary>The name of the method that makes an endpoint close gracefully.</summary>
    public const string UseGracefulShutdown = "UseGracefulShutdown";

    /// <summary>The name of the method that drains the host.</summary>
    public const string AddGracefulShutdown = "AddGracefulShutdown";

    /// <summary>The name of the method that closes a connection without an endpoint's middleware.</summary>
    public const string RunGracefully = "RunGracefullyAsync";

    // Names of what brings connections to a drain without a call of this program's own: outgoing ones, and the test
    // server, which calls UseGracefulShutdown() itself.
    private static readonly ImmutableHashSet<string> OtherSources =
        ImmutableHashSet.Create("DrainWithServer", "GracefulTestServer");

    private const string Library = "GracefulConnections";

    // What hands a connection to nobody else: Connections.Abstractions, Kestrel and SignalR.
    private static readonly ImmutableHashSet<string> Terminals =
        ImmutableHashSet.Create("Run", "UseConnectionHandler", "UseHub", "UseHttpServer", "UseHttp3Server");

    /// <summary>Returns the name of the method that is called, as it stands in the source.</summary>
    public static string? GetName(InvocationExpressionSyntax call) => call.Expression switch
    {
        MemberAccessExpressionSyntax { Name: var name } => name.Identifier.ValueText,
        MemberBindingExpressionSyntax { Name: var name } => name.Identifier.ValueText,
        IdentifierNameSyntax name => name.Identifier.ValueText,
        GenericNameSyntax name => name.Identifier.ValueText,
        _ => null,
    };

    /// <summary>Returns whether a method is the library's, of whatever make its type is.</summary>
    public static bool IsLibrary(IMethodSymbol method, string name) =>
        method.Name == name && method.ContainingNamespace?.ToDisplayString() is { } declared
        && (declared == Library || method.ContainingAssembly?.Name == Library);

    /// <summary>Returns whether a method ends the pipeline of an endpoint.</summary>
    public static bool IsTerminal(IMethodSymbol method) =>
        Terminals.Contains(method.Name) && ReceiverOf(method) is { } receiver && IsConnectionBuilder(receiver);

    // An extension method's receiver is its first parameter, however it is called.
    private static ITypeSymbol? ReceiverOf(IMethodSymbol method) =>
        method.ReducedFrom is { } whole ? whole.Parameters[0].Type
        : method.IsExtensionMethod ? method.Parameters[0].Type
        : method.ContainingType;

    /// <summary>Returns whether a name is that of something which brings connections to a drain.</summary>
    public static bool BringsConnections(string? name) =>
        name is UseGracefulShutdown or RunGracefully || (name is not null && OtherSources.Contains(name));

    /// <summary>Returns whether a type is an endpoint's builder.</summary>
    public static bool IsConnectionBuilder(ITypeSymbol type) =>
        IsNamed(type) || type.AllInterfaces.Any(IsNamed)
        || (type is ITypeParameterSymbol parameter && parameter.ConstraintTypes.Any(IsConnectionBuilder));

    private static bool IsNamed(ITypeSymbol type) =>
        type is { Name: "IConnectionBuilder", ContainingNamespace: { Name: "Connections" } };
}
