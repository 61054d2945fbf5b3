namespace GracefulConnections.Frameworks.Tests;

/// <summary>A grain whose work can be held.</summary>
public interface IWorkGrain : IGrainWithIntegerKey
{
    Task<int> DoAsync(int number);
}
