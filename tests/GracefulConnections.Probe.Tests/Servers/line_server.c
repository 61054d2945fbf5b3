/* Answers each line by the same line, and ends the connection behind "quit". Has the fault it is told. Prints its port. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUFFER = 65536 };

static int send_all(int fd, const char *bytes, size_t left)
{
    while (left > 0) {
        ssize_t sent = send(fd, bytes, left, MSG_NOSIGNAL);
        if (sent <= 0)
            return -1;
        bytes += sent;
        left -= (size_t)sent;
    }
    return 0;
}

/* FIN, then reading until the peer's FIN or 2 s of silence. */
static void end_well(int fd)
{
    char sink[BUFFER];
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    shutdown(fd, SHUT_WR);
    while (poll(&poll_fd, 1, 2000) > 0 && recv(fd, sink, sizeof sink, 0) > 0)
        ;
}

static void serve(int fd, const char *fault)
{
    static char buffer[BUFFER * 2];
    size_t held = 0;
    for (;;) {
        ssize_t got = recv(fd, buffer + held, sizeof buffer - held - 1, 0);
        if (got < 0)
            return;
        if (got == 0) {
            if (held > 0 && strcmp(fault, "ExecutesHalfAtFin") == 0) {
                buffer[held] = '\n';
                send_all(fd, buffer, held + 1);
            }
            break;
        }
        held += (size_t)got;
        char *start = buffer, *end;
        while ((end = memchr(start, '\n', held - (size_t)(start - buffer))) != NULL) {
            if (strncmp(start, "quit", 4) == 0)
                goto over;
            if (send_all(fd, start, (size_t)(end + 1 - start)) != 0)
                return;
            start = end + 1;
        }
        held -= (size_t)(start - buffer);
        memmove(buffer, start, held);
        if (held >= BUFFER)
            return;
    }
over:
    if (strcmp(fault, "ClosesAtOnce") != 0)
        end_well(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (argc < 2 || bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 512) != 0)
        return 1;
    getsockname(listener, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        if (fork() == 0) { /* A process for each peer: the oldest way there is. */
            close(listener);
            serve(fd, argv[1]);
            close(fd);
            exit(0);
        }
        close(fd);
    }
}
