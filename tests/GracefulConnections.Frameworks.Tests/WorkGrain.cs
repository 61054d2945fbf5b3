namespace GracefulConnections.Frameworks.Tests;

/// <inheritdoc cref="IWorkGrain" />
public sealed class WorkGrain(Gate gate) : Grain, IWorkGrain
{
    public async Task<int> DoAsync(int number)
    {
        await gate.PassAsync();
        return number;
    }
}
