namespace GracefulConnections.FunctionalTests.Support;

/// <summary>Gives every wait its limit.</summary>
internal static class Waiting
{
    public static Task InTimeAsync(this Task task) => task.WaitAsync(TestServer.TestLimit);

    public static Task<T> InTimeAsync<T>(this Task<T> task) => task.WaitAsync(TestServer.TestLimit);
}
