"""getsockopt() with a question in the buffer for its answer, which Python's own does not know: IPVS and legacy iptables are asked so."""

from __future__ import annotations

import ctypes
import os
import socket

_C = ctypes.CDLL(None, use_errno=True)


def ask(asked: socket.socket, what: int, question: bytes, size: int) -> bytearray:
    """Return the kernel's answer of `size` octets to an option of IP. Raises OSError."""
    buffer, length = bytearray(size), ctypes.c_uint(size)
    buffer[: len(question)] = question
    answer = (ctypes.c_char * size).from_buffer(buffer)
    if _C.getsockopt(asked.fileno(), socket.IPPROTO_IP, what, answer, ctypes.byref(length)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return buffer
