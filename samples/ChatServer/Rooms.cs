using System.Collections.Concurrent;

namespace ChatServer;

/// <summary>Who is in which room.</summary>
internal sealed class Rooms
{
    private readonly ConcurrentDictionary<string, ConcurrentDictionary<Member, bool>> _rooms = [];

    public void Enter(string room, Member member) => _rooms.GetOrAdd(room, static _ => []).TryAdd(member, true);

    public void Leave(string room, Member member) => _rooms.GetValueOrDefault(room)?.TryRemove(member, out _);

    /// <summary>Gives a line to everybody in a room but the one who says it.</summary>
    public void Say(string room, Member speaker, string line)
    {
        foreach (var member in _rooms[room].Keys.Where(member => member != speaker))
        {
            member.Tell(line);
        }
    }
}
