using System.Runtime.CompilerServices;

namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>The matrix as the page on closing prints it, so that what it says is what is tested.</summary>
internal static class MatrixTable
{
    private const string Header = "| who ends | how | while the server is | plain | TLS, inside | TLS, outside | Unix domain socket | no socket |";
    private const int FirstCell = 3;

    private static readonly MatrixTransport[] Columns =
        [MatrixTransport.Plain, MatrixTransport.TlsInside, MatrixTransport.TlsOutside, MatrixTransport.Unix, MatrixTransport.NoSocket];

    /// <summary>Returns every cell with what the page says there; a dash where it says nothing.</summary>
    public static IEnumerable<(MatrixCase Case, string Says)> Read([CallerFilePath] string thisFile = "")
    {
        var page = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(thisFile)!, "..", "..", "..", "src", "docs", "closing.md"));
        foreach (var row in File.ReadLines(page).SkipWhile(line => line != Header).Skip(2).TakeWhile(line => line.StartsWith('|')))
        {
            var cells = row.Trim('|').Split('|', StringSplitOptions.TrimEntries);
            for (var column = 0; column < Columns.Length; column++)
            {
                yield return (new MatrixCase(ParseSide(cells[0]), ParseEnd(cells[1]), Enum.Parse<MatrixActivity>(cells[2], ignoreCase: true), Columns[column]), cells[FirstCell + column]);
            }
        }
    }

    private static MatrixSide ParseSide(string text) => Enum.Parse<MatrixSide>(text, ignoreCase: true);

    private static MatrixEnd ParseEnd(string text) => text switch
    {
        "FIN" => MatrixEnd.Fin,
        "close_notify" => MatrixEnd.CloseNotify,
        "RST" => MatrixEnd.Rst,
        "stall" => MatrixEnd.Stall,
        _ => throw new FormatException($"The matrix has a row that ends by \"{text}\", which is none of FIN, close_notify, RST and stall."),
    };
}
