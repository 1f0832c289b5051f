"""The flows that a namespace's kernel remembers."""

from __future__ import annotations

import errno
import socket

from tests.support.netns.namespace import Namespace

from proxyconfig_agent.netlink import frames, nfnetlink, uapi

_DELETE = uapi.NFNL_SUBSYS_CTNETLINK << 8 | uapi.IPCTNL_MSG_CT_DELETE
_NO_CTNETLINK = (errno.EOPNOTSUPP, errno.EINVAL)


def forget(space: Namespace) -> None:
    """Delete them all, where the kernel has ctnetlink: a client that takes a port again would be sent where it went minutes ago."""
    space.call(_forget)


def _forget() -> None:
    with nfnetlink.connect() as ctnetlink:
        flags = uapi.NLM_F_REQUEST | uapi.NLM_F_ACK
        ctnetlink.send(frames.message(_DELETE, flags, nfnetlink.header(socket.AF_UNSPEC), 0))
        for answer in frames.messages(ctnetlink.recv(1 << 16)):
            number = frames.error_of(answer.payload)
            assert number in (0, *_NO_CTNETLINK), errno.errorcode[number]
