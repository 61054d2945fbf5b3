using System.Collections.Frozen;
using System.Text;
using RespServer.Protocol;

namespace RespServer.Commands;

/// <summary>Finds commands by name.</summary>
internal sealed class CommandTable
{
    private const int MaxNameLength = 32;
    private const char Bar = '|';

    private readonly FrozenDictionary<string, Command>.AlternateLookup<ReadOnlySpan<char>> _commands;
    private readonly FrozenSet<string> _containers;

    public CommandTable(KeyCommands keys, ServerCommands server)
    {
        Command[] all = [.. keys.All, .. server.All];
        _commands = all.ToFrozenDictionary(command => command.Name, StringComparer.OrdinalIgnoreCase).GetAlternateLookup<ReadOnlySpan<char>>();
        _containers = all.Where(command => command.Name.Contains(Bar)).Select(command => command.Name.Split(Bar)[0]).ToFrozenSet();
    }

    /// <summary>Executes a command, or replies why not.</summary>
    public ValueTask ExecuteAsync(Request request, Session session)
    {
        var command = Find(request);
        if (command is not null && command.Accepts(request.Count))
        {
            return command.ExecuteAsync(request, session);
        }

        session.Reply.WriteError(command is not null ? Errors.WrongNumberOfArguments(command.Name) : DescribeUnknown(request));
        return ValueTask.CompletedTask;
    }

    // A command, or a container's subcommand. Without an allocation: this runs for each command.
    private Command? Find(Request request)
    {
        Span<char> name = stackalloc char[MaxNameLength];
        var word = request[0];
        if (word.Length >= MaxNameLength || word.Contains((byte)Bar))
        {
            return null;
        }

        var length = Encoding.Latin1.GetChars(word, name);
        if (!_commands.TryGetValue(name[..length], out var command) && request.Count > 1 && request[1].Length < MaxNameLength - length)
        {
            name[length++] = Bar;
            length += Encoding.Latin1.GetChars(request[1], name[length..]);
            _commands.TryGetValue(name[..length], out command);
        }

        return command;
    }

    private string DescribeUnknown(Request request)
    {
        var name = request.Describe(0);
        if (!_containers.TryGetValue(name.ToLowerInvariant(), out var container))
        {
            return Errors.UnknownCommand(request);
        }

        return request.Count == 1 ? Errors.WrongNumberOfArguments(container) : Errors.UnknownSubcommand(request);
    }
}
