"""What the agent knows of its node, and the conditions that say it. Pure.

`Ready` is about traffic: the node serves its Services the way its revision says. `Degraded` is about everything else that a user
asked for and did not get; it names the worst first. Messages hold no counters, so that they change on transitions only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.state.findings import Finding, Topic
from proxyconfig_api.nodeproxy import QUARANTINED_LIMIT

MESSAGE_LIMIT = 2000
"""Long enough for people; the API would take 32768."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Repairs of what somebody else did to our rules. `last_repair_s`: Unix seconds, 0: never."""

    repairs: int = 0
    last_repair_s: float = 0.0
    what: str = ""


@dataclass(frozen=True, slots=True)
class NodeState:
    """Everything that a NodeProxy's status is made of. The agent replaces fields and tells the reporter."""

    version: str
    generation: int = 0
    """Of the NodeProxy whose spec is in effect; after a restart, until the first sync, of the one that the earlier agent applied."""
    revision: str = ""
    """The ControllerRevision in effect: the last one that was applied, also when a newer one cannot be."""
    mode: str = ""
    programmed: bool = False
    """The kernel holds rules for everything that was known at the last sync."""
    services: int = 0
    endpoints: int = 0
    refused: tuple[Refusal, ...] = ()
    capabilities: Mapping[str, str] = field(default_factory=dict)
    drift: Drift = Drift()
    removed_objects: int | None = None
    """What a scan found after a Remove; None: not removed."""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition without its times."""

    type: str
    status: bool
    reason: str
    message: str


def verdicts(state: NodeState) -> tuple[Verdict, ...]:
    """The conditions of a NodeProxy, always the same types in the same order."""
    if state.removed_objects is not None:
        return _removed(state.removed_objects)
    programmed = _programmed(state)
    parts = [_part(topic, state.findings) for topic in (Topic.CONNTRACK, Topic.MODULES, Topic.SYSCTLS)]
    degraded = _degraded(state, [programmed, *parts])
    return (_ready(programmed, degraded), programmed, *parts, degraded)


def _removed(objects: int) -> tuple[Verdict, ...]:
    left = "nothing of it is left in the kernel" if not objects else f"{objects} of its objects are still in the kernel"
    return (
        Verdict("Ready", status=False, reason="Removed", message=f"this node's proxy was removed; {left}"),
        Verdict("Programmed", status=False, reason="Removed", message=f"this node's proxy was removed; {left}"),
        Verdict("Degraded", status=bool(objects), reason="RemovalIncomplete" if objects else "Removed", message=left),
    )


def _programmed(state: NodeState) -> Verdict:
    wrong = _wrong(Topic.TRAFFIC, state.findings)
    if wrong:
        return Verdict("Programmed", status=False, reason=wrong[0].reason, message=sentences(wrong))
    if not state.programmed:
        return Verdict("Programmed", status=False, reason="Starting", message="the first sync has not ended yet")
    notes = [finding for finding in state.findings if finding.topic is Topic.TRAFFIC]
    return Verdict("Programmed", status=True, reason="Synced", message=sentences(notes) or "the Services are in the kernel")


def _part(topic: Topic, findings: Iterable[Finding]) -> Verdict:
    findings = [finding for finding in findings if finding.topic is topic]
    wrong = _wrong(topic, findings)
    if wrong:
        return Verdict(topic.value, status=False, reason=wrong[0].reason, message=sentences(wrong))
    reason = findings[0].reason if findings else "AsWanted"
    return Verdict(topic.value, status=True, reason=reason, message=sentences(findings) or "everything is as the ProxyConfig wants it")


def _degraded(state: NodeState, others: Iterable[Verdict]) -> Verdict:
    wrong = [(verdict.reason, verdict.message) for verdict in others if not verdict.status and verdict.reason != "Starting"]
    if state.refused:
        wrong.append(("QuarantinedServices", f"set aside, whole or in part: {_names(state.refused)}"))
    wrong += [(finding.reason, finding.message) for finding in _wrong(Topic.AGENT, state.findings)]
    if not wrong:
        return Verdict("Degraded", status=False, reason="AsWanted", message="everything is as the ProxyConfig wants it")
    return Verdict("Degraded", status=True, reason=wrong[0][0], message=_cut("; ".join(message for _, message in wrong)))


def _ready(programmed: Verdict, degraded: Verdict) -> Verdict:
    if not programmed.status:
        return Verdict("Ready", status=False, reason=programmed.reason, message=programmed.message)
    if degraded.status:
        return Verdict("Ready", status=True, reason=degraded.reason, message=_cut(f"the Services are in the kernel; {degraded.message}"))
    return Verdict("Ready", status=True, reason=programmed.reason, message=programmed.message)


def _wrong(topic: Topic, findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.topic is topic and not finding.harmless]


def _names(refused: tuple[Refusal, ...]) -> str:
    names = sorted({str(refusal.service) for refusal in refused})
    more = f" and {len(names) - QUARANTINED_LIMIT} more" if len(names) > QUARANTINED_LIMIT else ""
    return ", ".join(names[:QUARANTINED_LIMIT]) + more


def sentences(findings: Iterable[Finding]) -> str:
    return _cut("; ".join(finding.message for finding in findings))


def _cut(text: str) -> str:
    return text if len(text) <= MESSAGE_LIMIT else f"{text[: MESSAGE_LIMIT - 1]}…"
