"""What the web pods of tests run: it answers who it is, over HTTP and raw UDP, in both families.

The answer is `pod=NAME node=NODE client=ADDRESS`, one line. TCP and UDP on $PORT (8080).
"""

from __future__ import annotations

import http.server
import os
import signal
import socket
import sys
import threading
from types import FrameType

PORT = int(os.environ.get("PORT", "8080"))
WHO = f"pod={os.environ.get('POD_NAME') or socket.gethostname()} node={os.environ.get('NODE_NAME', '')}"
GRACE_S = float(os.environ.get("GRACE_S", "10"))


def answer(client: str) -> bytes:
    """Return the line for a client; IPv4 addresses in their own form."""
    return f"{WHO} client={client.removeprefix('::ffff:')}\n".encode()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every GET."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer who this is."""
        content = answer(self.client_address[0])
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing per request."""


class Server(http.server.ThreadingHTTPServer):
    """Listens on both families."""

    address_family = socket.AF_INET6
    request_queue_size = 512


def serve_udp() -> None:
    """Answer every datagram."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as udp:
        udp.bind(("::", PORT))
        while True:
            _, client = udp.recvfrom(2048)
            udp.sendto(answer(client[0]), client)


def main() -> None:
    """Serve until SIGTERM, and then for as long as proxies may need to learn that this pod leaves."""
    server = Server(("::", PORT), Handler)
    threading.Thread(target=serve_udp, daemon=True).start()

    def leave(_number: int, _frame: FrameType | None) -> None:
        threading.Timer(GRACE_S, server.shutdown).start()

    signal.signal(signal.SIGTERM, leave)
    server.serve_forever()
    sys.exit(0)


if __name__ == "__main__":
    main()
