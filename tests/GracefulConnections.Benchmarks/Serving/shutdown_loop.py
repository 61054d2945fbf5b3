"""The floor of a drain: accepts connections, and on "drain" half-closes all of them in one loop over shutdown(2), then waits for each peer's FIN and closes."""
import socket
import sys
import threading
import time

listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
connections = []


def accept():
    while True:
        try:
            connections.append(listener.accept()[0])
        except OSError:
            return


threading.Thread(target=accept, daemon=True).start()
print(listener.getsockname()[1])
for line in sys.stdin:
    before = time.process_time()
    for connection in connections:
        connection.shutdown(socket.SHUT_WR)
    graceful = 0
    for connection in connections:
        graceful += connection.recv(1) == b""
        connection.close()
    print(graceful, (time.process_time() - before) * 1000)
