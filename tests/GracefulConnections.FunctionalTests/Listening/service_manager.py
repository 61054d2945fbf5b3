"""A service manager that keeps the sockets a service leaves with it, and starts the service again when it dies.
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
child = None


def listen():
    while True:
        message, ancillary, _, _ = notify.recvmsg(4096, 1024)
        fields = dict(line.split("=", 1) for line in message.decode().splitlines() if "=" in line)
        for _, kind, data in ancillary:
            for descriptor in array.array("i", data):
                stored.setdefault(fields["FDNAME"], descriptor)
                print("stored", fields["FDNAME"], flush=True)


def start():
    descriptors = list(stored.values())

    def inherit():
        for i, descriptor in enumerate(descriptors):
            os.dup2(descriptor, 3 + i, inheritable=True)
        os.environ["LISTEN_PID"] = str(os.getpid())

    shell = 'export LISTEN_PID=$$ && exec "$@"'
    environment = dict(os.environ, NOTIFY_SOCKET=path, LISTEN_FDS=str(len(descriptors)))
    passed = [3 + i for i in range(len(descriptors))]
    return subprocess.Popen(
        ["/bin/sh", "-c", shell, "sh", *command], env=environment, pass_fds=passed, preexec_fn=inherit)


def stop(*_):
    stopping.set()
    child.terminate()


threading.Thread(target=listen, daemon=True).start()
signal.signal(signal.SIGTERM, stop)
while not stopping.is_set():
    child = start()
    child.wait()
