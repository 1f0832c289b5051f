"""One program of iptables at work, with a time limit: what it is fed, what it printed, and how it failed."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterable
from typing import IO, BinaryIO, cast

TIMEOUT_S = 60.0
"""For one process. The slowest known, iptables-legacy with 5,000 Services × 10 endpoints, takes 2 s."""

PIPE_BYTES = 1 << 20
"""What is made while the program reads may be so far ahead."""

BUFFER_BYTES = 1 << 18
"""Of one read or write: with 8 KiB, the event loop waits up to a second for the interpreter (ADR 8). 50 ms of work."""

_LOCKED = 4
_WITHOUT = b"missing kernel module"


class ToolError(Exception):
    """A program failed; the message has its words."""


class LockedError(ToolError):
    """Somebody else held the lock all the time."""


def run(argv: list[str], given: BinaryIO | None = None) -> BinaryIO:
    """What the process printed. Raises ToolError, after TIMEOUT_S at the latest."""
    output = file()
    try:
        _said(argv, given, output)
    except ToolError:
        output.close()
        raise
    output.seek(0)
    return output


def rehearse(argv: list[str], given: BinaryIO) -> None:
    """Raises ToolError for an input that the kernel would not take, too: the program asks it for each extension, and only warns."""
    with file() as output:
        said = _said(argv, given, output)
    if _WITHOUT in said:
        raise _error(argv, 0, said)


def _said(argv: list[str], given: BinaryIO | None, output: BinaryIO) -> bytes:
    """The errors and warnings that the process printed. Raises ToolError."""
    try:
        done = subprocess.run(
            argv, stdin=given or subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{argv[0]}: {error}") from error
    if done.returncode:
        raise _error(argv, done.returncode, done.stderr)
    return done.stderr


def pour(argv: list[str], text: Iterable[bytes]) -> None:
    """Raises ToolError, after TIMEOUT_S at the latest. Text that breaks off is nothing that iptables-restore carries out."""
    with file() as said:
        try:
            process = subprocess.Popen(
                argv, BUFFER_BYTES, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, pipesize=PIPE_BYTES
            )
        except OSError as error:
            raise ToolError(f"{argv[0]}: {error}") from error
        late = threading.Timer(TIMEOUT_S, process.kill)
        late.start()
        try:
            _write(cast(IO[bytes], process.stdin), text)
        finally:
            process.wait()
            late.cancel()
        if process.returncode:
            said.seek(0)
            raise _error(argv, process.returncode, said.read())


def _write(pipe: IO[bytes], text: Iterable[bytes]) -> None:
    """The text is made to its end, even when the program reads no more of it."""
    parts = iter(text)
    with contextlib.suppress(BrokenPipeError), pipe:
        for part in parts:
            pipe.write(part)
    for _ in parts:
        pass


def _error(argv: list[str], status: int, said: bytes) -> ToolError:
    words = " ".join(said.decode(errors="replace").split()) or f"ended with status {status}"
    return (LockedError if status == _LOCKED else ToolError)(f"{os.path.basename(argv[0])}: {words}")


def file() -> BinaryIO:
    """Memory outside of this process: at a cold start it is all rules of a node, which would otherwise never be given back."""
    return os.fdopen(os.memfd_create("iptables"), "w+b", BUFFER_BYTES)
