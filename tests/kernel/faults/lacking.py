"""Run a program as on a kernel that lacks something: the system call that would need it fails with what such a kernel answers.

`python -m tests.kernel.faults.lacking nfnetlink PROGRAM …`: no CONFIG_NETFILTER_NETLINK; `nfnetlink,xtables`: nor the tables of
iptables-legacy. Seccomp filters do it, so the program is the real one, and its error comes from the real system call.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
SOCKET = {"x86_64": 41, "aarch64": 198}
AF_NETLINK, NETLINK_NETFILTER, IPPROTO_RAW = 16, 12, 255

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
# Offsets in struct seccomp_data: the number of the call, and the lower halves of its arguments.
NUMBER, FIRST, THIRD = 0, 16, 32

_SOCKET = (NUMBER, SOCKET[platform.machine()])
FILTERS = {"nfnetlink": (_SOCKET, (FIRST, AF_NETLINK), (THIRD, NETLINK_NETFILTER)), "xtables": (_SOCKET, (THIRD, IPPROTO_RAW))}


def forbid(conditions: tuple[tuple[int, int], ...], number: int) -> None:
    """Let the system calls of this process for which all conditions hold fail with `number`, for good."""
    program = []
    for index, (offset, value) in enumerate(conditions):
        past = 2 * (len(conditions) - index - 1) + 1
        program += [(LOAD, 0, 0, offset), (EQUAL, 0, past, value)]
    program += [(RETURN, 0, 0, FAIL | number), (RETURN, 0, 0, ALLOW)]
    octets = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(octets)))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_, 0, 0)):
        if libc.prctl(*arguments):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    for part in sys.argv[1].split(","):
        forbid(FILTERS[part], errno.EPROTONOSUPPORT)
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - there is no shell in it
