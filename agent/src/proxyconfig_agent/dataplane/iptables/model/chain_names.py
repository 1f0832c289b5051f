"""How the chains are called: kube-proxy's names, which other programs and administrators look for (pkg/proxy/iptables, Kubernetes 1.36)."""

from __future__ import annotations

import hashlib
import re

from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.select.frontends import PortName

SERVICES = "KUBE-SERVICES"
EXTERNAL_SERVICES = "KUBE-EXTERNAL-SERVICES"
NODE_PORTS = "KUBE-NODEPORTS"
FORWARD = "KUBE-FORWARD"
PROXY_FIREWALL = "KUBE-PROXY-FIREWALL"
POSTROUTING = "KUBE-POSTROUTING"
MARK_MASQ = "KUBE-MARK-MASQ"
CANARY = "KUBE-PROXY-CANARY"
MARK_MASQ_OUTSIDE = "KUBE-MARK-MASQ-OUTSIDE"
"""Ours, not kube-proxy's, and there only with several networks of pods in one family: see `pods`."""
KUBELET_FIREWALL = "KUBE-FIREWALL"
"""Shared with the kubelet: it is taken away only where no kubelet has made its chains."""
KUBELETS = frozenset(("KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY"))
"""What a kubelet makes that keeps chains here (makeIPTablesUtilChains)."""

CLUSTER, LOCAL, FIREWALL, EXTERNAL, ENDPOINT = PREFIXES = ("KUBE-SVC-", "KUBE-SVL-", "KUBE-FW-", "KUBE-EXT-", "KUBE-SEP-")
"""How the chains of a Service port begin, all in table nat. The hash behind the first four of one Service port is the same."""

FIXED: tuple[Chain, ...] = (
    *(Chain(Table.FILTER, name) for name in (SERVICES, EXTERNAL_SERVICES, FORWARD, NODE_PORTS, PROXY_FIREWALL, CANARY)),
    *(Chain(Table.NAT, name) for name in (SERVICES, NODE_PORTS, POSTROUTING, MARK_MASQ, MARK_MASQ_OUTSIDE, CANARY)),
    Chain(Table.MANGLE, CANARY),
)
"""The chains of every Service that this mode ever makes and that are nobody else's."""


IPVS_FILTER = Chain(Table.FILTER, "KUBE-IPVS-FILTER")
IPVS_EARLY_FILTER = Chain(Table.MANGLE, "KUBE-IPVS-FILTER")
IPVS_SERVICES = Chain(Table.NAT, "KUBE-IPVS-SERVICES")
"""Of our ipvs mode; kube-proxy has none of the last two."""
OF_IPVS: tuple[Chain, ...] = (
    *(Chain(Table.FILTER, name) for name in ("KUBE-NODE-PORT", "KUBE-SOURCE-RANGES-FIREWALL", "KUBE-IPVS-OUT-FILTER")),
    *(Chain(Table.NAT, name) for name in ("KUBE-NODE-PORT", "KUBE-LOAD-BALANCER")),
    *(IPVS_FILTER, IPVS_EARLY_FILTER, IPVS_SERVICES),
)
"""Those of ipvs mode besides, kube-proxy's and ours: they are taken away with the others."""

_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIRS = tuple(first + second for first in _BASE32 for second in _BASE32)
_UNSAFE = re.compile(r"[^A-Za-z0-9._/:-]")


def is_of_service(chain: str) -> bool:
    """Whether a chain of table nat is one Service port's, by its name."""
    return chain.startswith(PREFIXES)


def words_of(name: PortName) -> str:
    """A Service port in a comment. The API server allows no name that could end a comment or a line; should one come, it cannot."""
    return _UNSAFE.sub("?", str(name))


def hash_of(name: PortName) -> str:
    """What distinguishes the chains of one Service port from those of another."""
    return _hash(_seed(name))


def endpoint_chains(name: PortName, endpoints: list[str]) -> list[str]:
    """The chain of each endpoint of a Service port; endpoints as text, `10.0.0.1:80` or `[fd00::1]:80`."""
    seed = _seed(name)
    return [ENDPOINT + _hash(seed + endpoint) for endpoint in endpoints]


def _seed(name: PortName) -> str:
    return f"{name}{name.protocol.name.lower()}"


def _hash(text: str) -> str:
    """16 characters of base32, which are the first 10 bytes: chain names have at most 28 characters.

    Two at a time, as there is one such name per endpoint; the standard library's base32 takes three times as long."""
    bits = int.from_bytes(hashlib.sha256(text.encode()).digest()[:10])
    return (
        _PAIRS[bits >> 70]
        + _PAIRS[bits >> 60 & 1023]
        + _PAIRS[bits >> 50 & 1023]
        + _PAIRS[bits >> 40 & 1023]
        + _PAIRS[bits >> 30 & 1023]
        + _PAIRS[bits >> 20 & 1023]
        + _PAIRS[bits >> 10 & 1023]
        + _PAIRS[bits & 1023]
    )
