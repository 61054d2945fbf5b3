using TeardownLab;

if (args is not ([] or ["--markdown"]))
{
    Console.Error.WriteLine("Usage: dotnet run --project samples/TeardownLab [-- --markdown]");
    return 2;
}

var runs = new List<Run>();
foreach (var scenario in Scenarios.All)
{
    runs.Add(await Run.StartAsync(scenario, ServerKind.Stock));
    runs.Add(await Run.StartAsync(scenario, ServerKind.Graceful));
}

if (args is ["--markdown"])
{
    MarkdownReport.Print(runs);
}
else
{
    ConsoleReport.Print(runs);
}

return runs.Any(run => run.Server == ServerKind.Graceful && run.HasUnintendedLoss) ? 1 : 0;
