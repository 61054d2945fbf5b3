using System.Diagnostics;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// A library that is loaded before all others, and answers falsely when a process asks the kernel about a socket, or
/// connects one.
/// </summary>
internal static class FalseKernel
{
    /// <summary>The environment variable that says how the send queue's length (SIOCOUTQ) is answered.</summary>
    public const string Queue = "FALSE_QUEUE";

    /// <summary>The environment variable that says how TCP_INFO is answered.</summary>
    public const string Info = "FALSE_INFO";

    /// <summary>The environment variable that says what becomes of a connect over TCP.</summary>
    public const string Connect = "FALSE_CONNECT";

    /// <summary>
    /// What the library says on standard error of a connect that stalls, as behind a firewall that drops it.
    /// </summary>
    public const string Stalled = "A connect stalled.";

    // The runtime looks functions of libc up by name in libc itself, so dlsym has to lie as well.
    private const string Source = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdarg.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/socket.h>
        #include <sys/time.h>
        #include <unistd.h>

        static void *look_up(void *handle, const char *name)
        {
            static void *(*real)(void *, const char *);
            if (!real) real = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
            if (!real) real = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.17");
            if (!real) real = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
            return real(handle, name);
        }

        static int lies(const char *about, const char *how)
        {
            const char *value = getenv(about);
            return value && !strcmp(value, how);
        }

        int ioctl(int descriptor, unsigned long request, ...)
        {
            static int (*real)(int, unsigned long, ...);
            va_list arguments;
            va_start(arguments, request);
            void *argument = va_arg(arguments, void *);
            va_end(arguments);
            if (!real) real = look_up(RTLD_NEXT, "ioctl");
            int result = real(descriptor, request, argument);
            if (request != 0x5411 /* SIOCOUTQ */ || result) return result;
            if (lies("FALSE_QUEUE", "zero")) *(int *)argument = 0;
            if (lies("FALSE_QUEUE", "huge")) *(int *)argument = 1 << 30;
            if (lies("FALSE_QUEUE", "fails")) { errno = ENOTTY; return -1; }
            return 0;
        }

        int getsockopt(int descriptor, int level, int option, void *value, socklen_t *length)
        {
            static int (*real)(int, int, int, void *, socklen_t *);
            if (!real) real = look_up(RTLD_NEXT, "getsockopt");
            int result = real(descriptor, level, option, value, length);
            if (level != 6 || option != 11 /* TCP_INFO */ || result) return result;
            if (lies("FALSE_INFO", "zeros")) memset(value, 0, *length);
            if (lies("FALSE_INFO", "short")) *length = 8;
            if (lies("FALSE_INFO", "fails")) { errno = ENOPROTOOPT; return -1; }
            return 0;
        }

        int connect(int descriptor, const struct sockaddr *address, socklen_t size)
        {
            static int (*real)(int, const struct sockaddr *, socklen_t);
            struct timeval limit = { 0 };
            socklen_t length = sizeof limit;
            if (!real) real = look_up(RTLD_NEXT, "connect");
            if (address->sa_family == AF_UNIX || !lies("FALSE_CONNECT", "stalls")) return real(descriptor, address, size);
            getsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, &length);
            usleep(limit.tv_sec * 1000000 + limit.tv_usec);
            write(2, "A connect stalled.\n", 19);
            errno = EINPROGRESS;
            return -1;
        }

        void *dlsym(void *handle, const char *name)
        {
            if (!strcmp(name, "ioctl")) return ioctl;
            if (!strcmp(name, "getsockopt")) return getsockopt;
            return look_up(handle, name);
        }
        """;

    /// <summary>Compiles the library, or skips the test where there is no compiler.</summary>
    /// <returns>Its path.</returns>
    public static async Task<string> CompileAsync(TemporaryDirectory directory)
    {
        var gcc = RequiredProgram.Find("gcc", "gcc libc6-dev");
        var (source, library) = (directory["false_kernel.c"], directory["false_kernel.so"]);
        await File.WriteAllTextAsync(source, Source);
        using var compiling = Process.Start(
            new ProcessStartInfo(gcc, ["-shared", "-fPIC", "-o", library, source, "-ldl"]) { RedirectStandardError = true })!;
        var errors = await compiling.StandardError.ReadToEndAsync().InTimeAsync();
        await compiling.WaitForExitAsync().InTimeAsync();
        Assert.True(compiling.ExitCode == 0, errors);
        return library;
    }
}
