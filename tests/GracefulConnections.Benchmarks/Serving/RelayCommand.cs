using System.Diagnostics;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.Benchmarks.Serving;

/// <summary>
/// How each relay is started: in the foreground, with a configuration in a directory of its own, and as it comes but for the number of its threads. HAProxy and nginx get one for
/// each processor; ours has the thread pool's, which are as many.
/// </summary>
internal static class RelayCommand
{
    private const string HaProxyProgram = "haproxy";
    private const string NginxProgram = "nginx";
    private const string NginxStreamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"; // Where Debian has it.

    /// <summary>Returns what is not installed and how to install it; <see langword="null"/> where nothing is missing.</summary>
    public static string? FindMissing() =>
        InstalledProgram.Find(HaProxyProgram) is null ? InstalledProgram.DescribeMissing(HaProxyProgram, "haproxy")
        : InstalledProgram.Find(NginxProgram) is null ? InstalledProgram.DescribeMissing(NginxProgram, "nginx")
        : !File.Exists(NginxStreamModule) ? InstalledProgram.DescribeMissing("nginx's stream module", "libnginx-mod-stream")
        : null;

    /// <summary>Writes the configuration, and returns the command that goes with it.</summary>
    /// <param name="variant">Which relay.</param>
    /// <param name="directory">An empty directory.</param>
    /// <param name="port">Where to listen.</param>
    /// <param name="upstreamPort">Where to relay to.</param>
    public static ProcessStartInfo Create(Variant variant, string directory, int port, int upstreamPort)
    {
        switch (variant)
        {
            case Variant.HaProxy:
                var haProxyConfiguration = Write(directory, "haproxy.cfg", $"""
                    global
                        nbthread {Environment.ProcessorCount}
                    defaults
                        mode tcp
                        timeout connect 5s
                        timeout client 10m
                        timeout server 10m
                    listen relay
                        bind 127.0.0.1:{port}
                        server upstream 127.0.0.1:{upstreamPort}

                    """);
                return new ProcessStartInfo(InstalledProgram.Find(HaProxyProgram)!, ["-db", "-q", "-f", haProxyConfiguration]);

            case Variant.Nginx:
                var nginxConfiguration = Write(directory, "nginx.conf", $$"""
                    load_module {{NginxStreamModule}};
                    daemon off;
                    pid {{directory}}/nginx.pid;
                    error_log stderr error;
                    worker_processes {{Environment.ProcessorCount}};
                    events {
                        worker_connections 4096;
                    }
                    stream {
                        server {
                            listen 127.0.0.1:{{port}};
                            proxy_pass 127.0.0.1:{{upstreamPort}};
                        }
                    }

                    """);
                return new ProcessStartInfo(InstalledProgram.Find(NginxProgram)!, ["-e", "stderr", "-p", directory, "-c", nginxConfiguration]);

            case Variant.Graceful:
                return new ProcessStartInfo("dotnet",
                [
                    FindTcpProxy(),
                    "--Proxy:Listen", $"127.0.0.1:{port}",
                    "--Proxy:Connect", $"127.0.0.1:{upstreamPort}",
                    "--Proxy:ReportInterval", "1.00:00:00",
                    "--Logging:LogLevel:Default", "Warning",
                ]);

            default:
                throw new ArgumentOutOfRangeException(nameof(variant), variant, "No relay.");
        }
    }

    private static string Write(string directory, string name, string text)
    {
        var path = Path.Combine(directory, name);
        File.WriteAllText(path, text);
        return path;
    }

    // We are in tests/<project>/bin/<configuration>/<framework>; the sample was built with us, and the same way.
    private static string FindTcpProxy()
    {
        var framework = new DirectoryInfo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        var configuration = framework.Parent!;
        return Path.Combine(configuration.Parent!.Parent!.Parent!.Parent!.FullName, "samples", "TcpProxy", "bin", configuration.Name, framework.Name, "TcpProxy.dll");
    }
}
