"""Changes of other programs to nf_tables, as the kernel reports them to every listener: do they concern our rules?

CNIs write their rules with iptables-nft all day long. Each of their commits changes the generation of the ruleset; to read all
rules every time would take seconds on large clusters. Rules that others add to built-in chains are their affair, as they are to kube-proxy.
"""

from __future__ import annotations

import enum
import errno
import socket

from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.ruleset import Table
from proxyconfig_agent.netlink import frames, nfnetlink, uapi

_BUFFER = 1 << 16

_TABLES = frozenset(table.value for table in Table)
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_OURS = frozenset(chain.name for chain in chain_names.FIXED)
_JOINED = frozenset(("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING", chain_names.KUBELET_FIREWALL))
"""Chains in which we have rules beside those of others."""


class _Kind(enum.IntEnum):
    NEW_TABLE, DELETE_TABLE = uapi.NFT_MSG_NEWTABLE, uapi.NFT_MSG_DELTABLE
    NEW_CHAIN, DELETE_CHAIN = uapi.NFT_MSG_NEWCHAIN, uapi.NFT_MSG_DELCHAIN
    NEW_RULE, DELETE_RULE = uapi.NFT_MSG_NEWRULE, uapi.NFT_MSG_DELRULE


class NftMonitor:
    """Listens from the start, in the network namespace of the thread that makes it. Raises OSError."""

    def __init__(self) -> None:
        self._socket = nfnetlink.connect(socket.SOCK_NONBLOCK)
        self._socket.bind((0, 1 << (uapi.NFNLGRP_NFTABLES - 1)))  # a socket without an address receives nothing

    def may_affect_us(self) -> bool:
        """Whether a change since the last call affects our rules, or notifications were lost. Reads all that there are."""
        found = False
        while True:
            try:
                received = self._socket.recv(_BUFFER)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                found = True
            else:
                found = found or any(affects_us(message) for message in frames.messages(received))

    def close(self) -> None:
        self._socket.close()


def affects_us(message: frames.Message) -> bool:
    """Whether a message is about a rule or chain of ours: any change of ours, a deletion where others have theirs, too."""
    subsystem, kind = divmod(message.kind, 1 << 8)
    if subsystem != uapi.NFNL_SUBSYS_NFTABLES or message.payload[0] not in _FAMILIES:
        return False
    attributes = nfnetlink.attributes(message.payload)
    if _text(attributes.get(uapi.NFTA_TABLE_NAME)) not in _TABLES:
        return False
    match kind:
        case _Kind.NEW_TABLE | _Kind.DELETE_TABLE:  # one that is there may have been put to sleep
            return True
        case _Kind.NEW_CHAIN | _Kind.DELETE_CHAIN:
            chain = _text(attributes.get(uapi.NFTA_CHAIN_NAME))
        case _Kind.NEW_RULE | _Kind.DELETE_RULE:
            chain = _text(attributes.get(uapi.NFTA_RULE_CHAIN))
        case _:
            return False
    return _is_ours(chain) or (kind in (_Kind.DELETE_CHAIN, _Kind.DELETE_RULE) and chain in _JOINED)


def _is_ours(chain: str) -> bool:
    return chain in _OURS or chain_names.is_of_service(chain)


def _text(value: bytes | None) -> str:
    return (value or b"").rstrip(b"\0").decode(errors="replace")
