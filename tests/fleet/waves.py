"""What is seen of a rollout while it is going on, and what came of the traffic meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fleet.fleet import ZONE_LABEL, Fleet
from tests.support.netns.flows import Told

CAREFUL: Mapping[str, object] = {"maxUnavailable": 2, "topologyKey": ZONE_LABEL, "holdPeriod": "3s"}
"""One node first, then two at a time, one zone after the other."""
Record = Callable[[str, object], None]


@dataclass
class Seen:
    """Of each look: the nodes in change, and the wave."""

    fleet: Fleet
    zones: Mapping[str, str]
    at_once: set[frozenset[str]] = field(default_factory=set)
    waves: list[int] = field(default_factory=list)

    def look(self) -> None:
        wave = self.fleet.product.config().get("status", {}).get("rollout", {}).get("wave", 0)
        if wave and wave not in self.waves:
            self.waves.append(wave)
        self.at_once.add(frozenset(name for name, proxy in self.fleet.proxies().items() if _in_change(proxy)))

    @property
    def zones_at_once(self) -> int:
        return max((len({self.zones[node] for node in nodes}) for nodes in self.at_once), default=0)

    @property
    def nodes_at_once(self) -> int:
        return max(map(len, self.at_once), default=0)


def seen(fleet: Fleet) -> Seen:
    """Nothing yet."""
    return Seen(fleet, {each["metadata"]["name"]: each["metadata"]["labels"][ZONE_LABEL] for each in fleet.product.objects("nodes")})


def nothing_lost(told: list[Told], record: Record) -> None:
    """Raise AssertionError if a request had no answer, or a connection broke. The numbers are recorded, and printed."""
    for kind in ("connection", "connections", "datagrams"):
        flows = [flow for flow in told if flow.kind == kind]
        counts = f"{sum(flow.sent for flow in flows)} sent, {sum(len(flow.lost) for flow in flows)} lost"
        record(kind, counts)
        print(f"{kind}: {counts}")
    kept = [flow.kept for flow in told if flow.kind == "connection"]
    record("connections kept", f"{kept.count(True)} of {len(kept)}")
    print(f"connections kept: {kept.count(True)} of {len(kept)}")
    broken = [flow for flow in told if flow.lost or not flow.kept]
    assert not broken, broken


def _in_change(proxy: Mapping[str, Any]) -> bool:
    """Whether a node has a revision that its agent has not committed yet."""
    return bool(proxy["spec"]["revisionName"] != proxy.get("status", {}).get("observedRevision"))
