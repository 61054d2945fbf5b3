using System.Globalization;
using System.Net;

namespace RespServer;

/// <summary>What can be set: on the command line (<c>--Resp:Port 6380</c>), by environment variables (<c>Resp__Port</c>) and in <c>appsettings.json</c>.</summary>
/// <param name="Resp">Where Redis clients connect to: <c>Resp:Address</c> and <c>Resp:Port</c>. There is no password, so it is this machine alone unless you say otherwise.</param>
/// <param name="Http">Where <c>/ready</c> is: <c>Http:Address</c> and <c>Http:Port</c>.</param>
/// <param name="Goodbye"><c>Resp:Goodbye</c>: whether clients get an error as the last line before the server closes their connection.</param>
internal sealed record Settings(IPEndPoint Resp, IPEndPoint Http, bool Goodbye)
{
    private const int DefaultRespPort = 6380; // Redis has 6379, and is often there already.
    private const int DefaultHttpPort = 8080;

    /// <summary>Reads everything, so that everything wrong is told at once.</summary>
    public static Settings Read(IConfiguration configuration, List<string> errors)
    {
        return new Settings(
            new IPEndPoint(Read("Resp:Address", IPAddress.Loopback, IPAddress.TryParse, "an IP address"), ReadPort("Resp:Port", DefaultRespPort)),
            new IPEndPoint(Read("Http:Address", IPAddress.Loopback, IPAddress.TryParse, "an IP address"), ReadPort("Http:Port", DefaultHttpPort)),
            Read("Resp:Goodbye", false, bool.TryParse, "true or false"));

        ushort ReadPort(string key, ushort otherwise) =>
            Read(key, otherwise, static (string? text, out ushort port) => ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out port), "a port from 0 (any free one) to 65535");

        T Read<T>(string key, T otherwise, TryParse<T> tryParse, string rule)
        {
            if (configuration[key] is not { } text)
            {
                return otherwise;
            }

            if (tryParse(text, out var value))
            {
                return value!;
            }

            errors.Add($"{key} must be {rule}, but was \"{text}\".");
            return otherwise;
        }
    }

    private delegate bool TryParse<T>(string? text, out T? value);
}
