using GracefulConnections.Probe.Commands;

return await ProbeCommand.RunAsync(args, Console.Out, Console.Error);
