"""Opens TCP connections without a pause, reads what comes, and closes them: `hotloop.py ADDRESS PORT`. Prints `hot` after the first 100."""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys

for number in itertools.count():
    with contextlib.suppress(OSError), socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60) as connection:
        while connection.recv(1024):
            pass
    if number == 100:
        print("hot", flush=True)
