"""A process that forks one of the programs that send and answer for each request: Python starts and imports once, not once per namespace.

`python -m tests.support.netns.forkserver` with a socket (SOCK_SEQPACKET) as standard input. A request is a JSON object `{"program",
"arguments", "namespace"}` (a path, or null for this process's own), with the descriptors of the program's standard input and output. The
answer has a pidfd of the program. It ends when the other end of the socket is closed. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.netns import echo, probe, traffic
from tests.support.netns.namespace import enter

PROGRAMS: Mapping[str, Callable[[Sequence[str]], None]] = {"echo": echo.main, "probe": probe.main, "traffic": traffic.main}
LONGEST = 1 << 16
"""Octets of a request."""


def main() -> None:
    """Serve the socket."""
    with socket.socket(fileno=sys.stdin.fileno()) as asked:
        while True:
            request, descriptors, _, _ = socket.recv_fds(asked, LONGEST, 2)
            if not request:
                return
            _reap()
            child = os.fork()
            if child == 0:
                _become(json.loads(request), descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            # It is not reaped before the next request: the number is still its own, also if it has ended.
            ended = os.pidfd_open(child)
            socket.send_fds(asked, [b"."], [ended])
            os.close(ended)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _become(request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Be the program until it ends, and end."""
    status = 1
    try:
        if request["namespace"] is not None:
            enter(Path(request["namespace"]))
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        PROGRAMS[request["program"]](request["arguments"])
        sys.stdout.flush()
        status = 0
    except BaseException:  # nothing of the server may run in its child
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
