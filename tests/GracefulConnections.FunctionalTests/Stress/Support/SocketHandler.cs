using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.FunctionalTests.Stress.Support;

/// <summary>A handler that does what its script says, and its books.</summary>
internal sealed class SocketHandler(SocketScript script)
{
    private readonly TaskCompletionSource<IGracefulCloseFeature> _connected =
        new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ConnectionContext? _connection;
    private long _written;
    private long _consumed;
    private long _unflushed;
    private bool _outputCompleted;
    private bool _inputCompleted;

    /// <summary>Gets the close of the connection that the handler got.</summary>
    public Task<IGracefulCloseFeature> Connected => _connected.Task;

    /// <summary>Gets a task that completes when the handler is about to return or throw.</summary>
    public Task Ended => _ended.Task;

    public long WrittenBytes => Volatile.Read(ref _written);

    public long ConsumedBytes => Volatile.Read(ref _consumed);

    /// <summary>Gets the bytes that it had not flushed when it completed its output with an exception.</summary>
    public long LeftOutBytes { get; private set; }

    /// <summary>Gets whether it came to aborting the connection.</summary>
    public bool HasAborted { get; private set; }

    /// <summary>Gets whether a close request cancelled its read.</summary>
    public bool WasCancelled { get; private set; }

    /// <summary>Gets what reached the handler and is not documented.</summary>
    public string? Violation { get; private set; }

    public async Task ServeAsync(ConnectionContext connection)
    {
        var feature = connection.Features.Get<IGracefulCloseFeature>()!;
        if (script.SmallBuffers)
        {
            // So that sends have to wait, half done.
            connection.Features.Get<IConnectionSocketFeature>()!.Socket.SendBufferSize = 16 * 1024;
        }

        _connection = connection;
        _connected.SetResult(feature);
        try
        {
            foreach (var step in script.Handler)
            {
                if (!await TryDoAsync(connection, feature, step))
                {
                    // Nobody is left to write to, and what is written now was not written in time for the result.
                    return;
                }
            }
        }
        catch (InvalidTimeZoneException)
        {
            throw;
        }
        catch (Exception exception) when (exception is ConnectionResetException or ConnectionAbortedException)
        {
            throw;
        }
        catch (OperationCanceledException) when (feature.CloseRequested.IsCancellationRequested)
        {
            WasCancelled = true;
            throw;
        }
        catch (Exception exception)
        {
            Violation = $"the handler got {exception}";
        }
        finally
        {
            _ended.SetResult();
        }
    }

    public void Abort() => _connection!.Abort(new ConnectionAbortedException());

    private async Task<bool> TryDoAsync(ConnectionContext connection, IGracefulCloseFeature feature, SocketStep step)
    {
        var output = connection.Transport.Output;
        switch (step.Act)
        {
            case SocketAct.Write when !_outputCompleted:
                Volatile.Write(ref _written, _written + step.Bytes);
                _unflushed = 0;
                return !(
                    await output.WriteAsync(
                    Bytes.At(_written - step.Bytes, step.Bytes), CancellationToken.None)).IsCompleted;
            case SocketAct.Buffer when !_outputCompleted:
                Bytes.At(_written, step.Bytes).CopyTo(output.GetMemory(step.Bytes));
                output.Advance(step.Bytes);
                _unflushed += step.Bytes;
                Volatile.Write(ref _written, _written + step.Bytes);
                break;
            case SocketAct.ReadOnce when !_inputCompleted && !MayWaitForEver():
                if (_unflushed > 0 && !_outputCompleted)
                {
                    _unflushed = 0;
                    if ((await output.FlushAsync(CancellationToken.None)).IsCompleted)
                    {
                        return false;
                    }
                }

                var result = await connection.Transport.Input.ReadAsync();
                if (!Bytes.Match(_consumed, result.Buffer))
                {
                    Violation = $"the handler read other bytes than were sent, somewhere after {_consumed}";
                }

                Volatile.Write(ref _consumed, _consumed + result.Buffer.Length);
                connection.Transport.Input.AdvanceTo(result.Buffer.End);
                break;
            case SocketAct.CompleteOutput:
                _outputCompleted = true;
                await output.CompleteAsync();
                break;
            case SocketAct.FailOutput:
                LeftOutBytes = _outputCompleted ? 0 : _unflushed;
                await output.CompleteAsync(new InvalidTimeZoneException());
                break;
            case SocketAct.CompleteInput:
                _inputCompleted = true;
                await connection.Transport.Input.CompleteAsync();
                break;
            case SocketAct.RequestClose:
                feature.RequestClose();
                break;
            case SocketAct.Abort:
                HasAborted = true;
                connection.Abort(new ConnectionAbortedException());
                break;
            case SocketAct.Throw:
                throw new InvalidTimeZoneException("The handler's own exception.");
            default:
                break;
        }

        return true;
    }

    // Only a handler whose output has left may be cancelled in its read, and this peer takes nothing before the end.
    private bool MayWaitForEver() => script.End == PeerEnd.StallsUntilTheServerHasClosed && _written > 0;
}
