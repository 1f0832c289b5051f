"""One agent per network namespace: two would both write the same tables. An abstract unix socket is the lock; it dies with its holder."""

from __future__ import annotations

import asyncio
import errno
import socket

import structlog

NAME = "\0proxyconfig-agent"
RETRY_S = 1.0

_log = structlog.get_logger("lock")


def try_acquire() -> socket.socket | None:
    """Take the lock: keep the socket open as long as you need it. None: another agent has it."""
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        lock.bind(NAME)
    except OSError as error:
        lock.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return lock


async def acquire() -> socket.socket:
    """Wait for the lock, with a line in the log."""
    told = False
    while True:
        if lock := try_acquire():
            if told:
                _log.info("the other agent has ended")
            return lock
        if not told:
            _log.warning("another agent runs in this network namespace; waiting for its end")
            told = True
        await asyncio.sleep(RETRY_S)
