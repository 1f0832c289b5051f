"""A kube-proxy that comes back to a node which is given back to it: from nothing, by its start, to rules that serve. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Collection

from msgspec import Struct

from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node.other_proxies.other_proxies import PORT
from proxyconfig_agent.state.findings import Finding, Topic

_SYNCED = re.compile(r"^kubeproxy_sync_proxy_rules_last_timestamp_seconds(?:\{(.*)\})? (\S+)$", re.MULTILINE)
"""Of a sync that succeeded: before the first one it is 0, or not there. Before 1.33 it had no label, and both families wrote it."""
_FIX = "set spec.removalPolicy of the ProxyConfig to Remove to have them removed without it"


class Stage(enum.Enum):
    AWAY = "away"
    """None answers."""
    STARTING = "starting"
    """One answers, and its rules are not all there."""
    SERVING = "serving"
    """Its rules are there in each family that the cluster has."""


class Running(Struct, frozen=True):
    """A kube-proxy that answers, by one look."""

    mode: str = ""
    """Empty: none does."""
    synced: frozenset[Family] = frozenset()
    """Where it has programmed its rules, and these are in the kernel."""


class Arrival(Struct, frozen=True):
    stage: Stage = Stage.AWAY
    mode: str = ""
    """The mode that it answers."""
    missing: tuple[Family, ...] = ()
    """The families whose rules are awaited."""
    chains: bool = False
    """The node's own rules are chains with kube-proxy's names: it takes them over as they are, or for its own."""


def arrival_of(running: Running, families: Collection[Family], *, chains: bool) -> Arrival:
    """`families`: those of the cluster's Services; empty while they are not known, and then nothing proves that the rules are there."""
    if not running.mode:
        return Arrival(chains=chains)
    missing = tuple(family for family in Family if family in families and family not in running.synced)
    serves = bool(families) and not missing
    return Arrival(Stage.SERVING if serves else Stage.STARTING, running.mode, missing, chains)


def synced_of(page: str) -> frozenset[Family]:
    """The families that a kube-proxy has programmed at least once, by its page of metrics."""
    found = [(labels or "", float(value)) for labels, value in _SYNCED.findall(page)]
    return frozenset(family for family in Family for labels, value in found if value > 0 and _is_of(labels, family))


def _is_of(labels: str, family: Family) -> bool:
    return "ip_family=" not in labels or f'ip_family="IPv{family.value}"' in labels


def awaited_finding(arrival: Arrival | None) -> Finding:
    """What a node that is given back waits for."""
    text = f"this node is given back to kube-proxy: the agent's rules stay, and are kept up to date, {_until(arrival)}; {_FIX}"
    return Finding(Topic.TRAFFIC, "GivingBack", text, harmless=True)


def _until(arrival: Arrival | None) -> str:
    if arrival is None or arrival.stage is Stage.AWAY:
        return f"until a kube-proxy answers on 127.0.0.1:{PORT} and has programmed its own"
    if arrival.stage is Stage.SERVING:
        return f"until their connections have ended or spec.drainPeriod is over; new ones are served by kube-proxy in {arrival.mode} mode"
    lacks = ", ".join(f"IPv{family.value}" for family in arrival.missing)
    return f"until the kube-proxy in {arrival.mode} mode that answers has programmed its own{f' of {lacks}' if lacks else ''}"
