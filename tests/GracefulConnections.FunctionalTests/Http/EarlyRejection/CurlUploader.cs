using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace GracefulConnections.FunctionalTests.Http.EarlyRejection;

/// <summary>curl, which reads while it sends. One process for all requests, each with an output file and a line of its own.</summary>
internal sealed class CurlUploader(string path) : IUploader
{
    private const int UntrustedCertificate = 60; // CURLE_PEER_FAILED_VERIFICATION.

    public string Name => "curl";

    public async Task<int> CountWholeAnswersAsync(UploadTarget target, int status, int count)
    {
        var directory = Directory.CreateTempSubdirectory("graceful-curl-");
        try
        {
            var upload = Path.Combine(directory.FullName, "upload");
            await File.WriteAllBytesAsync(upload, new byte[EarlyRejectionApp.UploadBytes]);
            var requests = Path.Combine(directory.FullName, "requests");
            await File.WriteAllTextAsync(requests, Describe(target, status, count, directory, upload));
            var (_, output) = await UploadProgram.RunAsync(path, "--config", requests); // The exit code is the last request's.
            var lines = output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
            return lines.Length == count
                ? lines.Index().Count(line => IsWhole(line.Item, status, OutputPath(directory, line.Index)))
                : throw new InvalidOperationException($"{Name} failed: {output}");
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    // The file is uploaded as it is read: data from the command line would be in memory once for each request.
    private static string Describe(UploadTarget target, int status, int count, DirectoryInfo directory, string upload)
    {
        var text = new StringBuilder();
        for (var i = 0; i < count; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $$"""
                url = "{{target.GetAddress(status)}}"
                request = "POST"
                upload-file = "{{upload}}"
                header = "Expect:"
                silent
                output = "{{OutputPath(directory, i)}}"
                write-out = "%{exitcode} %{num_connects} %{http_code} %header{{{EarlyRejectionApp.HashHeader}}}\n"

                """);
            if (target.CertificatePath is { } certificate)
            {
                text.Append(CultureInfo.InvariantCulture, $"cacert = \"{certificate}\"\n");
            }

            if (i + 1 < count)
            {
                text.Append("next\n");
            }
        }

        return text.ToString();
    }

    private static string OutputPath(DirectoryInfo directory, int request) => Path.Combine(directory.FullName, request.ToString(CultureInfo.InvariantCulture));

    private static bool IsWhole(string line, int status, string outputPath)
    {
        var words = line.Split(' ');
        var exitCode = int.Parse(words[0], CultureInfo.InvariantCulture);
        if (exitCode == UntrustedCertificate || words[1] != "1")
        {
            throw new InvalidOperationException($"curl did not trust the certificate, or took a connection again: {line}");
        }

        return exitCode == 0
            && words[2] == status.ToString(CultureInfo.InvariantCulture)
            && words[3] == EarlyRejectionApp.AnswerHash
            && Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(outputPath))) == EarlyRejectionApp.AnswerHash;
    }
}
