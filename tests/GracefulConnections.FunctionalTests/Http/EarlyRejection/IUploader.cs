namespace GracefulConnections.FunctionalTests.Http.EarlyRejection;

/// <summary>A real HTTP client that uploads to <see cref="EarlyRejectionApp"/>.</summary>
internal interface IUploader
{
    /// <summary>Gets the client's name.</summary>
    string Name { get; }

    /// <summary>Uploads one request after the other, each on a connection of its own and with its certificate verified.</summary>
    /// <param name="target">The server.</param>
    /// <param name="status">The status to be rejected with.</param>
    /// <param name="count">The number of requests.</param>
    /// <returns>How many answers the client read whole: the status, the headers and every byte of the body.</returns>
    /// <exception cref="InvalidOperationException">The client could not do what it was asked to, so that its count means nothing.</exception>
    Task<int> CountWholeAnswersAsync(UploadTarget target, int status, int count);
}
