using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>Every way to end, on every transport, in every situation: the README's table, cell by cell.</summary>
[Collection(SerialTests.Name)]
public class CloseMatrixTests
{
    public static TheoryData<MatrixCase, string> Cells
    {
        get
        {
            var cells = new TheoryData<MatrixCase, string>();
            foreach (var (cell, says) in MatrixTable.Read().Where(entry => entry.Case.Exists))
            {
                cells.Add(cell, says);
            }

            return cells;
        }
    }

    [Theory]
    [MemberData(nameof(Cells), DisableDiscoveryEnumeration = true)]
    public async Task Close_WhatThePeerSeesAndTheOutcome_AreTheReadmes(MatrixCase cell, string says) => Assert.Equal(says, await new MatrixRun(cell).RunAsync());

    [Fact]
    public void Readme_HasEveryCell_OnceAndADashWhereThereIsNone()
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
