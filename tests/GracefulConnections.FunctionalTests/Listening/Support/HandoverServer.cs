using System.Diagnostics;
using GracefulConnections.FunctionalTests.Samples.Support;

namespace GracefulConnections.FunctionalTests.Listening.Support;

/// <summary>The program <c>tests/GracefulConnections.HandoverServer</c>: a server that is replaced while peers talk to it.</summary>
internal static class HandoverServer
{
    public const string Assembly = "GracefulConnections.HandoverServer";

    public static Task<SampleProcess> StartAsync(params IEnumerable<string> arguments) => SampleProcess.StartAsync(Command("dotnet", arguments));

    /// <summary>Returns what starts it, behind another program that starts its command line.</summary>
    public static ProcessStartInfo Command(string program, IEnumerable<string> arguments, params IEnumerable<string> prefix)
    {
        string[] dotnet = program == "dotnet" ? [] : ["dotnet"];
        return Configure(new ProcessStartInfo(program, [.. prefix, .. dotnet, SampleProcess.FindAssembly("tests", Assembly), .. arguments]));
    }

    /// <summary>Returns what starts a copy of it.</summary>
    public static ProcessStartInfo CommandAt(string directory, IEnumerable<string> arguments) =>
        Configure(new ProcessStartInfo("dotnet", [Path.Combine(directory, $"{Assembly}.dll"), .. arguments]));

    private static ProcessStartInfo Configure(ProcessStartInfo start)
    {
        start.Environment["DOTNET_TieredPGO"] = "0"; // Less to compile in a process that lives for a second.
        start.Environment["NOTIFY_SOCKET"] = null;
        return start;
    }
}
