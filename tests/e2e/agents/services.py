"""An agent that serves TCP in its own network: what the first line asks for, port 8080 or 8081."""

import os
import socketserver
import struct
import sys
import threading
from socket import AF_INET6, SO_LINGER, SOL_SOCKET

FLOOD = 8 << 20


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        match self.rfile.readline().strip():
            case b"name":
                self.wfile.write(os.environ["AGENTSMESH_POD"].encode())
            case b"count":
                size = 0
                while piece := self.rfile.read1(65536):
                    size += len(piece)
                self.wfile.write(str(size).encode())  # after the other side's end
            case b"flood":
                self.wfile.write(b"x" * FLOOD)
            case b"reset":
                self.request.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
                os.close(self.request.detach())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class Server6(Server):
    address_family = AF_INET6


threading.Thread(target=Server6(("::1", 8081), Handler).serve_forever, daemon=True).start()
server = Server(("127.0.0.1", 8080), Handler)
print("serving", flush=True)
sys.stdout.flush()
server.serve_forever()
