"""Requests to connection tracking, as its messages number them. No sockets."""

from __future__ import annotations

import enum
from typing import NamedTuple

from proxyconfig_agent.netlink import frames, nfnetlink, uapi

_SUBSYSTEM = uapi.NFNL_SUBSYS_CTNETLINK << 8


class Kind(enum.IntEnum):
    NEW = _SUBSYSTEM | uapi.IPCTNL_MSG_CT_NEW
    GET = _SUBSYSTEM | uapi.IPCTNL_MSG_CT_GET
    DELETE = _SUBSYSTEM | uapi.IPCTNL_MSG_CT_DELETE


class Request(NamedTuple):
    kind: Kind
    payload: bytes
    flags: int = 0

    def framed(self, family: int, sequence: int = 0) -> bytes:
        """The message, about AF_INET or AF_INET6."""
        return frames.message(self.kind, uapi.NLM_F_REQUEST | self.flags, nfnetlink.header(family) + self.payload, sequence)
