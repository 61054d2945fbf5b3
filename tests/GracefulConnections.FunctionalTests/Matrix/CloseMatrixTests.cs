using System.Collections.Concurrent;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>Every way to end, on every transport, in every situation: the table of the page on closing, cell by cell.</summary>
[Collection(SerialTests.Name)]
public class CloseMatrixTests
{
    private const int CellsAtATime = 4; // They wait more than they work.

    [Fact]
    public async Task Close_WhatThePeerSeesAndTheOutcome_AreThePages()
    {
        var differences = new ConcurrentQueue<string>();
        var cells = MatrixTable.Read().Where(static entry => entry.Case.Exists).ToList();
        Assert.NotEmpty(cells);

        var parallel = new ParallelOptions { MaxDegreeOfParallelism = CellsAtATime };
        await Parallel.ForEachAsync(cells, parallel, async (entry, _) =>
        {
            var saw = "";
            var failure = await Record.ExceptionAsync(async () => saw = await new MatrixRun(entry.Case).RunAsync());
            if (failure is not null || saw != entry.Says)
            {
                var was = failure?.ToString() ?? saw;
                differences.Enqueue($"{entry.Case}: the page says {entry.Says}, but it was {was}");
            }
        });

        Assert.True(differences.IsEmpty, string.Join(Environment.NewLine, differences));
    }

    [Fact]
    public void Page_HasEveryCell_OnceAndADashWhereThereIsNone()
    {
        var expected =
            from side in Enum.GetValues<MatrixSide>()
            from end in Enum.GetValues<MatrixEnd>()
            from activity in Enum.GetValues<MatrixActivity>()
            from transport in Enum.GetValues<MatrixTransport>()
            select new MatrixCase(side, end, activity, transport);
        var cells = MatrixTable.Read().ToList();

        Assert.Equal(expected.Select(cell => cell.ToString()).Order(), cells.Select(entry => entry.Case.ToString()).Order());
        Assert.All(cells.Where(entry => !entry.Case.Exists), entry => Assert.Equal("-", entry.Says));
    }
}
