using GracefulConnections.Analyzers.Tests.Support;
using GracefulConnections.CodeFixes;

namespace GracefulConnections.Analyzers.Tests;

public class CanceledAsEndTests
{
    [Theory]
    [InlineData("if (result.IsCompleted || [|result.IsCanceled|]) { return; }")]
    [InlineData("if ([|result.IsCanceled|] || result.IsCompleted) { return; }")]
    [InlineData("if (result.Buffer.IsEmpty || result.IsCompleted || [|result.IsCanceled|]) { return; }")]
    [InlineData("var isOver = result.IsCompleted || [|result.IsCanceled|]; Console.WriteLine(isOver);")]
    public Task CanceledBesideCompleted_IsFlagged(string code) => Analysis.AssertFlagsAsync("GRACE004", Program(code));

    [Theory]
    [InlineData("if (result.IsCompleted) { return; }")]
    [InlineData("if (result.IsCanceled) { throw new OperationCanceledException(); }")]
    [InlineData("if (result.IsCompleted && !result.IsCanceled) { return; }")]
    [InlineData("if (result.IsCompleted || other.IsCanceled) { return; }")]
    [InlineData("var flush = await connection.Transport.Output.FlushAsync(); if (flush.IsCompleted || flush.IsCanceled) { return; }")]
    [InlineData("var task = Task.CompletedTask; if (task.IsCompleted || task.IsCanceled) { return; }")]
    [InlineData("if (result.IsCompleted || result.IsCanceled) { if (result.IsCanceled) { throw new OperationCanceledException(); } return; }")]
    public Task Otherwise_IsNotFlagged(string code) => Analysis.AssertSilentAsync(Program(code));

    [Theory]
    [InlineData("if (result.IsCompleted || result.IsCanceled) { return; }")]
    [InlineData("if (result.IsCanceled || result.IsCompleted) { return; }")]
    public async Task Fix_KeepsTheEnd(string code)
    {
        var changed = await Analysis.FixAsync(Program(code), new CanceledAsEndCodeFix());

        Assert.Equal(Program("if (result.IsCompleted) { return; }"), changed);
    }

    private static string Program(string code) =>
        $$"""
        using GracefulConnections;
        using Microsoft.AspNetCore.Connections;

        Console.WriteLine();

        class Handler : ConnectionHandler
        {
            public override async Task OnConnectedAsync(ConnectionContext connection)
            {
                var result = await connection.Transport.Input.ReadAsync();
                var other = await connection.Transport.Input.ReadAsync();
                {{code}}
            }
        }
        """;
}
