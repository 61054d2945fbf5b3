"""A service manager that keeps the sockets a service leaves with it. It prints what it is told, and starts the service
again at SIGHUP once that has died.
usage: service_manager.py NOTIFY_SOCKET COMMAND..."""
import array
import os
import signal
import socket
import subprocess
import sys
import threading

path, command = sys.argv[1], sys.argv[2:]
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.bind(path)
stored = {}
stopping = threading.Event()
again = threading.Event()
child = None


def tell(line):
    os.write(1, f"{line}\n".encode())  # At once, because the service writes to the same pipe.


def listen():
    while True:
        message, ancillary, _, _ = notify.recvmsg(4096, 1024)
        if not message:
            return
        fields = dict(line.split("=", 1) for line in message.decode().splitlines() if "=" in line)
        for _, kind, data in ancillary:
            for descriptor in array.array("i", data):
                stored.setdefault(fields["FDNAME"], descriptor)
        tell("said " + message.decode().replace("\n", " "))


def start():
    descriptors = list(stored.values())

    def inherit():
        for i, descriptor in enumerate(descriptors):
            os.dup2(descriptor, 3 + i, inheritable=True)

    shell = 'export LISTEN_PID=$$ && exec "$@"'
    environment = dict(os.environ, NOTIFY_SOCKET=path, LISTEN_FDS=str(len(descriptors)))
    passed = [3 + i for i in range(len(descriptors))]
    return subprocess.Popen(
        ["/bin/sh", "-c", shell, "sh", *command], env=environment, pass_fds=passed, preexec_fn=inherit)


def stop(*_):
    stopping.set()
    again.set()
    child.terminate()


# Hosting.Systemd believes in systemd when the parent process has its name.
with open("/proc/self/comm", "w") as name:
    name.write("systemd")
listener = threading.Thread(target=listen)
listener.start()
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGHUP, lambda *_: again.set())
while not stopping.is_set():
    child = start()
    child.wait()
    tell("died")
    again.wait()
    again.clear()
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"", path)
listener.join()
