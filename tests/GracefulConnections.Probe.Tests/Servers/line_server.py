"""Answers each line by the same line, and ends the connection behind "quit". Has the fault it is told. Prints its port.

A second one on the same port takes over from the first: both listen with SO_REUSEPORT.
"""

import os
import select
import signal
import socket
import sys
import threading
import time

fault = sys.argv[1]
port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
host = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"
listener = socket.create_server((host, port), backlog=512, reuse_port=True)
stopping = threading.Event()
threads = []


def has_input(connection, milliseconds):
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(milliseconds))


def end(connection):
    if fault == "ClosesAtOnce":
        connection.close()
        return
    connection.shutdown(socket.SHUT_WR)
    if fault == "HoldsForEver":
        threading.Event().wait()
    connection.settimeout(2)
    while connection.recv(65536):
        pass


def answer(connection):
    rest = b""
    last = time.monotonic()
    while True:
        if not has_input(connection, 50):
            if stopping.is_set() and time.monotonic() - last > 1:
                return  # Silent for so long: this is the middle of no message that anybody goes on with.
            continue
        last = time.monotonic()
        data = connection.recv(65536)
        if not data:
            if fault == "ExecutesHalfAtFin" and rest:
                connection.sendall(rest + b"\n")
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line.strip() == b"quit":
                return
            if fault == "DiesAtStop":
                time.sleep(0.01)  # So that something is owed when it dies.
            connection.sendall(line + b"\n")
        if stopping.is_set() and not rest and not has_input(connection, 0):
            return


def serve(connection):
    with connection:
        try:
            answer(connection)
            end(connection)
        except OSError:
            pass  # The peer has gone, or is silent: nobody is left to be told.


def accept():
    try:
        connection, _ = listener.accept()
    except OSError:
        return False
    connection.setblocking(True)
    threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
    threads[-1].start()
    return True


def stop(signum, frame):
    if fault == "DiesAtStop":
        os._exit(0)
    stopping.set()


signal.signal(signal.SIGTERM, stop)
print(listener.getsockname()[1], flush=True)
listener.settimeout(0.05)
while not stopping.is_set():
    accept()
listener.setblocking(False)
while accept():  # Whoever is connected already is served.
    pass
listener.close()
for thread in threads:
    thread.join(timeout=10)
