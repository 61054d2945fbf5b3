namespace GracefulConnections.Tests.Closing;

/// <summary>Every way for a connection in memory to end, on a transport that tells of acknowledgements, as a socket does.</summary>
public sealed class CloseOutcomeWithKernelTests() : CloseOutcomeTests(hasKernel: true);
