"""Answers each line by the same line, and ends the connection behind "quit". Has the fault it is told. Prints its port.

line_server.py FAULT [PORT [HOST [PEM]]]: with a file that holds a certificate and its key it speaks TLS.
A second one on the same port takes over from the first: both listen with SO_REUSEPORT.
"""

import fcntl
import os
import select
import signal
import socket
import ssl
import struct
import sys
import termios
import threading
import time

FEW_BYTES = 2000  # One request at a time is answered at once, whatever the fault is.
OWES = ("DiesAtStop", "CutsAtStop", "DropsRepliesAtFin")  # The replies to more than that, until the end comes.
RECORD_BYTES = 16384
LINGER_SECONDS = 5

fault = sys.argv[1]
port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
host = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"
tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if len(sys.argv) > 4 else None
listener = socket.create_server((host, port), backlog=512, reuse_port=True)
threads = []

# Never taken, only looked at: so every thread knows of the stop at the moment of its signal, however late it runs.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


class Plain:
    """A connection without TLS."""

    def __init__(self, connection):
        self.socket = connection

    def has_input(self, milliseconds):
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(milliseconds))

    def receive(self):
        return self.socket.recv(65536)

    def send(self, data):
        self.socket.sendall(data)

    def shut(self):
        self.socket.shutdown(socket.SHUT_WR)


class Secure(Plain):
    """A connection inside of TLS. Python's own SSLSocket cannot send close_notify without waiting for the peer's."""

    def __init__(self, connection):
        super().__init__(connection)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = tls.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.data, self.has_ended = bytearray(), False
        while not self.carry(self.tls.do_handshake):
            self.feed()
            if self.has_ended:
                raise ConnectionError("The peer has gone in the middle of the handshake.")
        self.decrypt()

    def carry(self, act):
        """Acts, and sends what TLS has to say. Returns whether TLS needed no more input for it."""
        try:
            act()
            return True
        except ssl.SSLWantReadError:
            return False
        finally:
            self.socket.sendall(self.outgoing.read())

    def feed(self):
        data = self.socket.recv(65536)
        self.incoming.write(data)
        self.has_ended = not data  # OpenSSL is not told of a cut stream, because it would write nothing any more.

    def has_input(self, milliseconds):
        return bool(self.data) or self.has_ended or super().has_input(milliseconds)

    def receive(self):
        while not self.data and not self.has_ended:
            self.feed()
            self.decrypt()
        data, self.data = bytes(self.data), bytearray()
        return data

    def decrypt(self):
        """Takes everything that is there, so that nothing is left where poll() does not see it."""
        while not self.has_ended and self.carry(self.decrypt_one):
            pass

    def decrypt_one(self):
        data = self.tls.read(65536)
        self.data += data
        self.has_ended = not data  # close_notify

    def send(self, data):
        for start in range(0, len(data), RECORD_BYTES):  # Python's write() takes one record at most.
            self.carry(lambda: self.tls.write(data[start:start + RECORD_BYTES]))

    def shut(self):
        if fault != "SaysNoCloseNotify":
            self.carry(self.tls.unwrap)
        super().shut()


def unacknowledged(connection):
    return int.from_bytes(fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder)  # SIOCOUTQ has its number.


def end(connection):
    if fault == "ClosesAtOnce":
        connection.socket.close()
        return
    connection.shut()
    if fault == "HoldsForEver":
        threading.Event().wait()
    last = time.monotonic()
    while time.monotonic() - last < LINGER_SECONDS:
        if Plain.has_input(connection, 50):
            if not connection.socket.recv(65536):
                return
            last = time.monotonic()
        elif unacknowledged(connection.socket) > 0:
            last = time.monotonic()  # A peer that still reads the reply is not silent.


def is_stopping():
    return fault != "StaysAtStop" and signal.SIGTERM in signal.sigpending()


def answer(connection):
    rest, owed = b"", bytearray()
    last = time.monotonic()
    while True:
        has_input = connection.has_input(50)
        if fault == "ExecutesHalfAtStop" and rest and is_stopping():
            connection.send(rest + b"\n")
            return
        if fault == "CutsAtStop" and owed and is_stopping():
            connection.send(owed[:len(owed) // 2 + 1])
            return
        if not has_input:
            if fault == "ResetsAtStop" and is_stopping():
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.socket.close()
                return
            if time.monotonic() - last > 1 and is_stopping():
                return  # Silent for so long: this is the middle of no message that anybody goes on with.
            continue
        last = time.monotonic()
        data = connection.receive()
        if not data:
            if fault == "ExecutesHalfAtFin" and rest:
                connection.send(rest + b"\n")
            connection.send(owed[:len(owed) // 2])
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if line.strip() == b"quit":
                connection.send(owed)
                return
            if fault == "CutsAtStop" and is_stopping():
                connection.send(line[:len(line) // 2])
                return
            if fault in OWES:
                owed += line + b"\n"
            else:
                connection.send(line + b"\n")
        if len(owed) < FEW_BYTES:
            connection.send(owed)
            owed.clear()
        if not rest and not owed and is_stopping() and not connection.has_input(0):
            return


def serve(peer):
    with peer:
        try:
            connection = Secure(peer) if tls else Plain(peer)
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


if tls:
    tls.load_cert_chain(sys.argv[4])
print(listener.getsockname()[1], flush=True)
listener.settimeout(0.02)
while not is_stopping():
    accept()
if fault == "DiesAtStop":
    os._exit(0)
take_until = time.monotonic() + (1 if fault == "CutsAtStop" else 0)  # So that some are cut.
while time.monotonic() < take_until:
    accept()
listener.setblocking(False)
while accept():  # Whoever is connected already is served.
    pass
listener.close()
for thread in threads:
    thread.join(timeout=10)
