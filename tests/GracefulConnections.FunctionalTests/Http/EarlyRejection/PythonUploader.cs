using System.Globalization;

namespace GracefulConnections.FunctionalTests.Http.EarlyRejection;

/// <summary>Python's http.client, which sends the whole body before it looks at the answer, as most HTTP/1.1 clients do. One process for all requests.</summary>
internal sealed class PythonUploader(string path) : IUploader
{
    // A certificate that is not trusted is a mistake of the set-up, and no lost answer: it ends the script.
    private const string Script = """
        import hashlib, http.client, ssl, sys
        from urllib.parse import urlsplit

        address, count, upload_bytes, hash_header, answer_hash = urlsplit(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
        context = ssl.create_default_context(cafile=sys.argv[6]) if address.scheme == "https" else None
        body = bytes(upload_bytes)
        whole = 0
        for _ in range(count):
            if context:
                connection = http.client.HTTPSConnection(address.hostname, address.port, context=context, timeout=60)
            else:
                connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
            try:
                connection.request("POST", address.path, body=body)
                response = connection.getresponse()
                answer = hashlib.sha256(response.read()).hexdigest()
                whole += f"/{response.status}" == address.path and response.getheader(hash_header) == answer_hash == answer
            except ssl.SSLCertVerificationError:
                raise
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()

        print(whole)
        """;

    public string Name => "Python http.client";

    public async Task<int> CountWholeAnswersAsync(UploadTarget target, int status, int count)
    {
        var (exitCode, output) = await UploadProgram.RunAsync(
            path, "-c", Script, $"{target.GetAddress(status)}", $"{count}", $"{EarlyRejectionApp.UploadBytes}", EarlyRejectionApp.HashHeader, EarlyRejectionApp.AnswerHash, target.CertificatePath ?? "");
        return exitCode == 0 ? int.Parse(output, CultureInfo.InvariantCulture) : throw new InvalidOperationException($"{Name} failed: {output}");
    }
}
