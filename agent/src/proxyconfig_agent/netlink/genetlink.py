"""What the families of generic netlink have in common: the header behind netlink's, and the request for a family's number."""

from __future__ import annotations

import struct
import sys

from proxyconfig_agent.netlink import frames, uapi

HEADER_SIZE = 4
_HEADER = struct.Struct("=BBH")  # genlmsghdr: command, version, reserved
_CTRL_VERSION = 2


def header(command: int, version: int) -> bytes:
    return _HEADER.pack(command, version, 0)


def attributes(payload: bytes) -> dict[int, bytes]:
    """Of a message of any family, by type."""
    return dict(frames.attributes(payload, HEADER_SIZE))


def get_family(name: str, sequence: int) -> bytes:
    """The request for a family's number. The kernel loads the family's module for it, if it has one."""
    payload = header(uapi.CTRL_CMD_GETFAMILY, _CTRL_VERSION) + frames.text(uapi.CTRL_ATTR_FAMILY_NAME, name)
    return frames.message(uapi.GENL_ID_CTRL, uapi.NLM_F_REQUEST, payload, sequence)


def family_of(payload: bytes) -> int:
    """The number in the answer to get_family: the type of this family's messages."""
    return int.from_bytes(attributes(payload)[uapi.CTRL_ATTR_FAMILY_ID], sys.byteorder)
