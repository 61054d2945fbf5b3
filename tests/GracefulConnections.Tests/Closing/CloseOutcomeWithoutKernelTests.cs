namespace GracefulConnections.Tests.Closing;

/// <summary>Every way for a connection in memory to end, on a transport that tells nothing of acknowledgements.</summary>
public sealed class CloseOutcomeWithoutKernelTests() : CloseOutcomeTests(hasKernel: false);
