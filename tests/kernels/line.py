"""Ethernet over a line: frames between a bridge and standard input, which is a serial line of a kernel or the socket behind it.

`python -m tests.kernels.line NAMESPACE` makes a port of the namespace's bridge, and carries until the line ends. Before each frame is its
length in two octets, most significant first; an empty one acknowledges a frame. At most WINDOW frames are on their way: user-mode Linux
does not look at a line any more once the 4,096 octets of its input buffer were full.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import sys
import threading
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tests.cluster.network import BRIDGE, NAMESPACES
from tests.support.netns.namespace import enter, run

PORT = "line"
LENGTH = struct.Struct(">H")
LONGEST = 1514
WINDOW = 2
_ACKNOWLEDGEMENT = b""
_TUNSETIFF, _IFF_TAP, _IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def packed(frame: bytes) -> bytes:
    """Return what goes over the line."""
    return LENGTH.pack(len(frame)) + frame


def frames(line: BinaryIO) -> Iterator[bytes]:
    """Yield the frames that come over the line, until it ends."""
    while len(length := line.read(LENGTH.size)) == LENGTH.size:
        yield line.read(LENGTH.unpack(length)[0])


class Carrier:
    """Copies frames between a tap device and a line, both given by their descriptors."""

    def __init__(self, port: int, line: int) -> None:
        self._port, self._line = port, line
        self._free = threading.Semaphore(WINDOW)
        self._writing = threading.Lock()

    def run(self) -> None:
        """Copy until the line ends. Nothing reads or writes the two descriptors afterwards."""
        ended, end = os.pipe()
        sender = threading.Thread(target=self._send_all, args=(ended,))
        sender.start()
        try:
            with open(self._line, "rb", closefd=False) as incoming:
                for frame in frames(incoming):
                    self._take(frame)
        finally:
            os.close(end)
            self._free.release()
            sender.join()
            os.close(ended)

    def _take(self, frame: bytes) -> None:
        if frame == _ACKNOWLEDGEMENT:
            self._free.release()
            return
        os.write(self._port, frame)
        self._send(_ACKNOWLEDGEMENT)

    def _send_all(self, ended: int) -> None:
        while ended not in select.select([self._port, ended], [], [])[0]:
            frame = os.read(self._port, LONGEST)
            self._free.acquire()
            with contextlib.suppress(BrokenPipeError):  # the line ends
                self._send(frame)

    def _send(self, frame: bytes) -> None:
        left = memoryview(packed(frame))
        with self._writing:
            while left:
                left = left[os.write(self._line, left) :]


def begin(line: int) -> None:
    """Return when both ends pass octets as they are: a terminal tells when it does, the other end waits for that."""
    if os.isatty(line):
        tty.setraw(line)
        os.write(line, b"\n")
    else:
        os.read(line, 1)


def _made() -> int:
    """Make the port; its descriptor. It goes with this process."""
    port = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(port, _TUNSETIFF, struct.pack("16sH22x", PORT.encode(), _IFF_TAP | _IFF_NO_PI))
    # It is a line between others: IPv6 on it would only add frames.
    Path(f"/proc/sys/net/ipv6/conf/{PORT}/disable_ipv6").write_text("1")
    run("ip", "link", "set", PORT, "master", BRIDGE, "up")
    return port


if __name__ == "__main__":
    enter(NAMESPACES / sys.argv[1])
    begin(sys.stdin.fileno())
    Carrier(_made(), sys.stdin.fileno()).run()
