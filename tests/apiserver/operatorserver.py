"""A process that forks operators: one imports for a second of CPU time, which none of these dozens has to do again.

`python -m tests.apiserver.operatorserver` with a socket (SOCK_SEQPACKET) as standard input. A request is a JSON list of the operator's
arguments, with two descriptors: its log, and a pipe that gets its pid, and its exit status when it has ended. It ends when the
other end of the socket is closed; operators go on.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence

from proxyconfig_operator.__main__ import main as operator

LONGEST = 1 << 16
"""Octets of a request."""


def main() -> None:
    """Serve the socket."""
    gc.freeze()  # what is imported stays
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=sys.stdin.fileno()) as asked:
        while True:
            request, descriptors, _, _ = socket.recv_fds(asked, LONGEST, 2)
            if not request:
                return
            if os.fork() == 0:
                os.close(sys.stdin.fileno())
                _keep(json.loads(request), *descriptors)
            for descriptor in descriptors:
                os.close(descriptor)


def _keep(arguments: Sequence[str], log: int, told: int) -> None:
    """Be the parent of an operator, and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _operate(arguments, log)
    os.close(log)
    os.write(told, f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    os.write(told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _operate(arguments: Sequence[str], log: int) -> None:
    """Be an operator until it ends, and end."""
    status = 1
    try:
        for number in (sys.stdout.fileno(), sys.stderr.fileno()):
            os.dup2(log, number)
        sys.argv = ["proxyconfig_operator", *arguments]
        status = operator()
        sys.stdout.flush()
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # nothing of the server may run in its child
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    main()
