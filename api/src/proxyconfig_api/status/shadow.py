"""`status.shadow`: what nodes that observe kube-proxy have found (spec.takeover: Observe)."""

from __future__ import annotations

import msgspec

LIMIT = 20
"""The most Services that a status names."""


class Difference(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A Service, as `namespace/name`, for which kube-proxy's rules and the agent's do different things; and the first of them."""

    service: str
    message: str


class Shadow(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A flow is the first packet of a connection from one class of clients to one address of a Service port."""

    score: str = ""
    """The matching part of the flows, in percent, rounded down: 100% is all of them."""
    flows: int = 0
    matching: int = 0
    differing: int = 0
    """Services that differ; on several nodes, each once per node."""
    services: tuple[Difference, ...] = ()


class FleetShadow(Shadow, frozen=True, rename="camel", kw_only=True):
    """Of a ProxyConfig: what its nodes have found, together."""

    nodes: int = 0
    """That have compared."""


def score_of(matching: int, flows: int) -> str:
    """Of no flows at all there is none."""
    if not flows:
        return ""
    tenths = matching * 1000 // flows
    return f"{tenths // 10}%" if tenths % 10 == 0 else f"{tenths / 10:.1f}%"
