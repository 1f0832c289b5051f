"""The two counters of packets that kube-proxy's rules name: nfacct objects, made over netlink. Many kernels have none (xt_nfacct)."""

from __future__ import annotations

import errno

from proxyconfig_agent.dataplane.iptables.model.static_rules import COUNTERS
from proxyconfig_agent.netlink import frames, nfnetlink, uapi

_NEW, _GET, _DELETE = (
    uapi.NFNL_SUBSYS_ACCT << 8 | kind for kind in (uapi.NFNL_MSG_ACCT_NEW, uapi.NFNL_MSG_ACCT_GET, uapi.NFNL_MSG_ACCT_DEL)
)


def ensure() -> bool:
    """Make the counters, if they are not there; whether the kernel has such objects."""
    return all(_done(_NEW, uapi.NLM_F_CREATE | uapi.NLM_F_EXCL, name) in (0, errno.EEXIST) for name in COUNTERS)


def remove() -> None:
    """Take the counters away, but for those that rules of another program name."""
    for name in COUNTERS:
        _done(_DELETE, 0, name)


def packets(name: str) -> int | None:
    """What a counter has counted; None if there is none."""
    try:
        for message in _asked(_GET, 0, name):
            if message.kind == _NEW:
                found = nfnetlink.attributes(message.payload)
                return int.from_bytes(found[uapi.NFACCT_PKTS]) if uapi.NFACCT_PKTS in found else None
    except OSError:
        pass
    return None


def _done(kind: int, flags: int, name: str) -> int:
    """The kernel's answer as an errno, 0 for success."""
    try:
        for message in _asked(kind, uapi.NLM_F_ACK | flags, name):
            if message.kind == uapi.NLMSG_ERROR:
                return frames.error_of(message.payload)
    except OSError as error:
        return error.errno or errno.EIO
    return errno.EIO


def _asked(kind: int, flags: int, name: str) -> list[frames.Message]:
    payload = nfnetlink.header() + frames.text(uapi.NFACCT_NAME, name)
    with nfnetlink.connect() as accounting:
        accounting.send(frames.message(kind, uapi.NLM_F_REQUEST | flags, payload))
        return list(frames.messages(accounting.recv(1 << 16)))
