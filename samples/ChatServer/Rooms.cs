namespace ChatServer;

/// <summary>Who is in which room.</summary>
internal sealed class Rooms
{
    private readonly Dictionary<string, HashSet<Member>> _rooms = [];

    public void Enter(string room, Member member)
    {
        lock (_rooms)
        {
            if (!_rooms.TryGetValue(room, out var members))
            {
                _rooms[room] = members = [];
            }

            members.Add(member);
        }
    }

    /// <summary>The last one takes the room along, because members may think of as many rooms as they like.</summary>
    public void Leave(string room, Member member)
    {
        lock (_rooms)
        {
            if (_rooms.TryGetValue(room, out var members) && members.Remove(member) && members.Count == 0)
            {
                _rooms.Remove(room);
            }
        }
    }

    /// <summary>Gives a line to everybody in a room but the one who says it.</summary>
    public void Say(string room, Member speaker, string line)
    {
        lock (_rooms)
        {
            foreach (var member in _rooms.GetValueOrDefault(room, []).Where(member => member != speaker))
            {
                member.Tell(line); // Into its queue, and never waits.
            }
        }
    }
}
