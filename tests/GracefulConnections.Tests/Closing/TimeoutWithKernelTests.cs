namespace GracefulConnections.Tests.Closing;

/// <summary>Every timeout of a close, on a transport that tells of acknowledgements, as a socket does.</summary>
public sealed class TimeoutWithKernelTests() : TimeoutTests(hasKernel: true);
