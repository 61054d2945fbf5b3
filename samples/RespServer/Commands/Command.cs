using RespServer.Protocol;

namespace RespServer.Commands;

/// <summary>One command that clients can send.</summary>
/// <param name="Name">In lower case; a subcommand's follows after a bar, <c>config|get</c>.</param>
/// <param name="Arity">As in Redis: the number of arguments, the name's words included; negative for at least so many.</param>
/// <param name="ExecuteAsync">Writes one reply, or ends the session. The arguments stay good until it ends, also while it waits.</param>
internal sealed record Command(string Name, int Arity, Func<Request, Session, ValueTask> ExecuteAsync)
{
    public Command(string name, int arity, Action<Request, Session> execute)
        : this(name, arity, (request, session) =>
        {
            execute(request, session);
            return ValueTask.CompletedTask;
        })
    {
    }

    public bool Accepts(int count) => Arity >= 0 ? count == Arity : count >= -Arity;
}
