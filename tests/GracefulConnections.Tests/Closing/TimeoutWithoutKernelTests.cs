namespace GracefulConnections.Tests.Closing;

/// <summary>Every timeout of a close, on a transport that tells nothing of acknowledgements.</summary>
public sealed class TimeoutWithoutKernelTests() : TimeoutTests(hasKernel: false);
