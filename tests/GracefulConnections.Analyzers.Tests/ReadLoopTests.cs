using GracefulConnections.Analyzers.Tests.Support;
using GracefulConnections.CodeFixes;

namespace GracefulConnections.Analyzers.Tests;

public class ReadLoopTests
{
    [Theory]
    [InlineData("while (true) { try { await input.ReadAsync(); } catch [|(OperationCanceledException)|] { } }")]
    [InlineData("while (true) { try { await input.ReadAsync(); } catch [|(OperationCanceledException)|] { continue; } }")]
    [InlineData("while (true) { try { await input.ReadAtLeastAsync(4); } catch [|(Exception exception)|] { Console.WriteLine(exception); } }")]
    [InlineData("for (;;) { try { await input.ReadAsync(); } [|catch|] { } }")]
    [InlineData("do { try { await input.ReadAsync(); } catch (IOException) { return; } catch [|(OperationCanceledException)|] { } } while (true);")]
    [InlineData("var stream = input.AsStream(); while (true) { try { await stream.ReadAsync(new byte[4]); } catch [|(OperationCanceledException)|] { } }")]
    [InlineData("while (true) { try { await input.ReadAsync(); } catch [|(OperationCanceledException)|] { Action leave = () => { return; }; leave(); } }")]
    [InlineData("while (true) { try { await input.ReadAsync(); } catch [|(OperationCanceledException)|] { continue; } if (connection.ConnectionClosed.IsCancellationRequested) break; }")]
    public Task LoopThatReadsOn_IsFlagged(string loop) => Analysis.AssertFlagsAsync("GRACE003", Program(loop));

    [Theory]
    [InlineData("while (true) { try { await input.ReadAsync(); } catch (OperationCanceledException) { break; } }")]
    [InlineData("while (true) { try { await input.ReadAsync(); } catch (OperationCanceledException) { return; } }")]
    [InlineData("while (true) { try { await input.ReadAsync(); } catch (Exception exception) { Console.WriteLine(exception); throw; } }")]
    [InlineData("while (true) { try { await input.ReadAsync(); } catch (OperationCanceledException) when (Environment.ProcessId == 0) { } }")]
    [InlineData("try { while (true) { await input.ReadAsync(); } } catch (OperationCanceledException) { }")]
    [InlineData("while (true) { try { await input.ReadAsync(); } catch (IOException) { } }")]
    [InlineData("while (!connection.ConnectionClosed.IsCancellationRequested) { try { await input.ReadAsync(); } catch (OperationCanceledException) { } }")]
    [InlineData("while (true) { try { await Task.Delay(1000); } catch (OperationCanceledException) { } }")]
    [InlineData("using var file = File.OpenRead(\"a\"); while (true) { try { await file.ReadAsync(new byte[4]); } catch (OperationCanceledException) { } }")]
    [InlineData("while (true) { try { Func<Task> later = async () => await input.ReadAsync(); await Task.Yield(); } catch (OperationCanceledException) { } }")]
    [InlineData("while (true) { using var limit = new CancellationTokenSource(1000); try { await input.ReadAsync(limit.Token); } catch (OperationCanceledException) { } }")]
    [InlineData("var isOver = false; while (true) { try { await input.ReadAsync(); } catch (OperationCanceledException) { isOver = true; } if (isOver) { return; } }")]
    [InlineData("while (true) { try { await input.ReadAsync(); } catch (OperationCanceledException) { Console.WriteLine(); } if (connection.ConnectionClosed.IsCancellationRequested) break; }")]
    public Task LoopThatEnds_IsNotFlagged(string loop) => Analysis.AssertSilentAsync(Program(loop));

    [Fact]
    public async Task Fix_LeavesTheLoop()
    {
        var changed = await Analysis.FixAsync(
            Program("while (true) { try { await input.ReadAsync(); } catch (OperationCanceledException) { continue; } }"),
            new ReadLoopCodeFix());

        Assert.Contains("break;", changed, StringComparison.Ordinal);
        Assert.DoesNotContain("continue;", changed, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Fix_BreakWouldLeaveASwitchOnly_IsNotOffered() => await Assert.ThrowsAnyAsync<Xunit.Sdk.XunitException>(
        () => Analysis.FixAsync(
            Program("while (true) { switch (Environment.ProcessId) { default: try { await input.ReadAsync(); } catch (OperationCanceledException) { } break; } }"),
            new ReadLoopCodeFix()));

    private static string Program(string loop) =>
        $$"""
        using GracefulConnections;
        using System.IO.Pipelines;
        using Microsoft.AspNetCore.Connections;

        Console.WriteLine();

        class Handler : ConnectionHandler
        {
            public override async Task OnConnectedAsync(ConnectionContext connection)
            {
                var input = connection.Transport.Input;
                await Task.Yield();
                {{loop}}
            }
        }
        """;
}
