using System.Text;
using RespServer.Protocol;

namespace RespServer.Commands;

/// <summary>The errors that more than one command has, in Redis's words: programs look for them.</summary>
internal static class Errors
{
    public const string Syntax = "ERR syntax error";
    public const string NotAnInteger = "ERR value is not an integer or out of range";
    public const string Overflow = "ERR increment or decrement would overflow";

    public static string StoreFull { get; } = $"OOM command not allowed when used memory > 'maxmemory', which is {Limits.MaxStoreBytes} bytes.";

    public static string WrongNumberOfArguments(string command) => $"ERR wrong number of arguments for '{command}' command";

    public static string InvalidExpireTime(string command) => $"ERR invalid expire time in '{command}' command";

    public static string UnknownSubcommand(Request request) => $"ERR unknown subcommand '{request.Describe(1)}'.";

    public static string UnknownCommand(Request request)
    {
        const int MaxLength = 128; // An error is one short line, whatever the client sent.
        var arguments = new StringBuilder();
        for (var i = 1; i < request.Count && arguments.Length < MaxLength; i++)
        {
            arguments.Append('\'').Append(request.Describe(i, MaxLength - arguments.Length)).Append("' ");
        }

        return $"ERR unknown command '{request.Describe(0)}', with args beginning with: {arguments}";
    }
}
