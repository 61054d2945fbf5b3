import socketserver
import sys


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        while (line := self.rfile.readline()) and line.strip() != b"quit":
            self.wfile.write(line)


class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 128
    daemon_threads = True


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
