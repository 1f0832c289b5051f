"""/healthz and /livez as kube-proxy answers them, for load balancers and cluster autoscalers, and /readyz. Pure, but for its clock.

/livez fails where a change has been waiting for a minute without a successful sync. /healthz means that Services can be expected to work
here: it also fails, with the reason, before the first sync, while the last commit or audit has failed, where the kernel cannot do what is
asked, and on a node that is about to be deleted, so that load balancers drain it. /livez does not: the agent still has work to do there,
and a restart would not help. /readyz means that this process has programmed the node: its pod is Ready then.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.state.findings import Source
from proxyconfig_client.http.answer import Answer
from proxyconfig_client.process.clock import Clock

STALE_S = 60.0
"""kube-proxy's 2 × syncPeriod with its default of 30 s."""

HEARTBEAT_S = 30.0
"""The agent's event loop beats every second; a silence of this length is a hang. The first sync of a big cluster stays far below."""


class _FamilyBody(msgspec.Struct, rename="camel"):
    last_updated: str
    healthy: bool


class _AuditBody(msgspec.Struct, rename="camel", omit_defaults=True):
    last_audit: str
    repaired: str = ""


class _Body(msgspec.Struct, rename="camel", omit_defaults=True):
    last_updated: str
    current_time: str
    healthy: bool
    status: dict[str, _FamilyBody]
    node_eligible: bool | msgspec.UnsetType = msgspec.UNSET
    reason: str = ""
    audit: _AuditBody | msgspec.UnsetType = msgspec.UNSET


class Health:
    """What is known about the freshness of this node's rules. Written by the event loop; any thread may ask for answers.

    Durations are monotonic, stamps Unix seconds."""

    def __init__(self, clock: Clock, stale_s: float = STALE_S, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._clock = clock
        self._stale_s, self._heartbeat_s = stale_s, heartbeat_s
        self._synced_at: dict[Family, float] = {}
        self._waiting_since_s: float | None = None
        self._beat_s = clock.monotonic()
        self._audit: tuple[float, str] | None = None
        self._node_problem = "the Node object was not seen yet"
        self._unhealthy: dict[Source, str] = {}
        self.programmed("the first sync has not ended yet")

    def beat(self) -> None:
        """The event loop runs."""
        self._beat_s = self._clock.monotonic()

    def queued(self) -> None:
        """A change waits for a sync; the first of several counts."""
        if self._waiting_since_s is None:
            self._waiting_since_s = self._clock.monotonic()

    def synced(self, families: Iterable[Family]) -> None:
        """Everything that waited is in the kernel."""
        self._synced_at = self._synced_at | dict.fromkeys(families, self._clock.wall())
        self._waiting_since_s = None

    def audited(self, repaired: str) -> None:
        """Note an audit: all rules of the kernel were compared with the desired ones, and these differences were repaired."""
        self._audit = (self._clock.wall(), repaired)

    def set_unhealthy(self, source: Source, reason: str) -> None:
        """The data path is not to be relied on, as `source` (the mode, the sync, …) knows; an empty reason takes that back."""
        others = {other: said for other, said in self._unhealthy.items() if other != source}
        self._unhealthy = others | ({source: reason} if reason else {})

    def programmed(self, reason: str = "") -> None:
        """The first sync has ended; with a reason, nothing of the cluster is programmed by this process."""
        self._unprogrammed = reason
        self.set_unhealthy(Source.START, reason)

    def serves(self) -> bool:
        """Whether the rules of this node can be relied on, whatever becomes of the node."""
        return not self._unhealthy and not self._problem()

    def node(self, *, known: bool, deleted: bool) -> None:
        """Whether the Node object exists, and is to stay."""
        self._node_problem = "the Node object does not exist" if not known else "the node is being deleted" if deleted else ""

    def healthz(self) -> Answer:
        return self._answer(about_node=True)

    def livez(self) -> Answer:
        return self._answer(about_node=False)

    def readyz(self) -> Answer:
        body = msgspec.json.encode({"ready": not self._unprogrammed, "reason": self._unprogrammed})
        return Answer(503 if self._unprogrammed else 200, body)

    def _answer(self, *, about_node: bool) -> Answer:
        now = self._clock.wall()
        problem = (about_node and "; ".join(self._unhealthy.values())) or self._problem()
        node_problem = self._node_problem if about_node else ""
        updated = now if not problem else max(self._synced_at.values(), default=0.0)
        body = _Body(
            last_updated=_stamp(updated),
            current_time=_stamp(now),
            healthy=not problem,
            node_eligible=not node_problem if about_node else msgspec.UNSET,
            status={_name(family): _FamilyBody(_stamp(at), not problem) for family, at in sorted(self._synced_at.items())},
            reason="; ".join(filter(None, (problem, node_problem))),
            audit=_AuditBody(_stamp(self._audit[0]), self._audit[1]) if about_node and self._audit else msgspec.UNSET,
        )
        return Answer(503 if problem or node_problem else 200, msgspec.json.encode(body))

    def _problem(self) -> str:
        now = self._clock.monotonic()
        if (silent := now - self._beat_s) > self._heartbeat_s:
            return f"the agent's event loop has been unresponsive for {silent:.0f} s"
        waiting_since = self._waiting_since_s
        if waiting_since is not None and now - waiting_since > self._stale_s:
            return f"a change has been waiting {now - waiting_since:.0f} s for a successful sync"
        return ""


def _name(family: Family) -> str:
    return "IPv4" if family is Family.IPV4 else "IPv6"


def _stamp(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
