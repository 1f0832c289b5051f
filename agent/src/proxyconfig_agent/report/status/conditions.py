"""What the agent knows of its node, and the conditions that say it. Pure.

`Ready` is about traffic: the node serves its Services the way its revision says, as the API server has them now. `Degraded` is about
everything else that a user asked for and did not get; it names the worst first. Messages hold no counters, so that they change on
transitions only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.state.findings import Finding, Topic
from proxyconfig_api.objects.nodeproxy import QUARANTINED_LIMIT, ModeStatus, Module
from proxyconfig_api.status.conditions import ConditionUpdate
from proxyconfig_api.status.messages import listed
from proxyconfig_api.status.rollout import ChangeStatus
from proxyconfig_api.status.shadow import Shadow

MESSAGE_LIMIT = 2000
"""Long enough for people; the API would take 32768."""


OBSERVING = "Observing"
_OBSERVES = "spec.takeover is Observe: nothing is programmed; status.shadow compares kube-proxy's rules with those of the agent"


class Drift(Struct, frozen=True):
    """Repairs of other programs' changes to our rules. `last_repair_s`: Unix seconds, 0: never."""

    repairs: int = 0
    last_repair_s: float = 0.0
    what: str = ""


class NodeState(Struct, frozen=True):
    """Everything that a NodeProxy's status is made of. The agent replaces fields and hands it to the reporter."""

    version: str
    generation: int = 0
    """Of the NodeProxy whose spec is in effect; after a restart, until the first sync, of the one that the earlier agent applied."""
    revision: str = ""
    """The ControllerRevision in effect: the last one that was applied, also when a newer one cannot be."""
    mode: ModeStatus = field(default_factory=ModeStatus)
    programmed: bool = False
    """The kernel holds rules for everything that was known at the last sync."""
    observing: bool = False
    """Nothing is programmed, as spec.takeover asks for."""
    shadow: Shadow | None = None
    """What the last comparison with kube-proxy's rules has found; None: there was none."""
    services: int = 0
    endpoints: int = 0
    refused: tuple[Refusal, ...] = ()
    capabilities: Mapping[str, str] = field(default_factory=dict)
    modules: tuple[Module, ...] = ()
    """Of the mode, and of spec.kernel.modules."""
    drift: Drift = Drift()
    change: ChangeStatus | None = None
    """The last change of the revision; None: of a first installation."""
    chains_stay: bool = False
    """At the removal, those of iptables mode did, for kube-proxy."""
    removed_objects: int | None = None
    """What a scan found after a Remove; None: not removed."""
    findings: tuple[Finding, ...] = ()


def without_explained(state: NodeState) -> NodeState:
    """Ports of an agent that programs nothing beside a kube-proxy are kube-proxy's: that it is there says why they are taken. And where a
    node is given back, a kube-proxy is what is awaited."""
    if any(finding.reason == "GivingBack" for finding in state.findings):
        return replace(state, findings=tuple(finding for finding in state.findings if finding.topic is not Topic.OTHER_PROXY))
    if not state.observing and not any(finding.reason == "WaitingForKubeProxy" for finding in state.findings):
        return state
    return replace(state, findings=tuple(finding for finding in state.findings if finding.reason != "PortTaken"))


def updates_of(state: NodeState) -> tuple[ConditionUpdate, ...]:
    """The conditions of a NodeProxy, always the same types in the same order."""
    if state.removed_objects is not None:
        return _removed(state.removed_objects, chains_stay=state.chains_stay)
    programmed = _programmed(state)
    connected = _part(Topic.WATCHES, state.findings)
    parts = [_part(topic, state.findings) for topic in (Topic.CONNTRACK, Topic.MODULES, Topic.SYSCTLS)]
    other = _other_proxy(state.findings)
    degraded = _degraded(state, [programmed, connected, *parts])
    return (_ready(programmed, connected, degraded), programmed, connected, *parts, other, degraded)


def _other_proxy(findings: Iterable[Finding]) -> ConditionUpdate:
    found = [finding for finding in findings if finding.topic is Topic.OTHER_PROXY]
    reason = found[0].reason if found else "AsExpected"
    message = sentences(found) or "no other proxy was found on the node"
    return ConditionUpdate(Topic.OTHER_PROXY.value, holds=bool(found), reason=reason, message=message)


def _removed(objects: int, *, chains_stay: bool) -> tuple[ConditionUpdate, ...]:
    nothing = "its chains of iptables mode stay for kube-proxy" if chains_stay else "nothing of it is left in the kernel"
    left = nothing if not objects else f"{objects} of its objects are still in the kernel"
    return (
        ConditionUpdate("Ready", holds=False, reason="Removed", message=f"this node's proxy was removed; {left}"),
        ConditionUpdate("Programmed", holds=False, reason="Removed", message=f"this node's proxy was removed; {left}"),
        ConditionUpdate("Degraded", holds=bool(objects), reason="RemovalIncomplete" if objects else "Removed", message=left),
    )


def _programmed(state: NodeState) -> ConditionUpdate:
    wrong = _wrong(Topic.TRAFFIC, state.findings)
    if wrong:
        return ConditionUpdate("Programmed", holds=False, reason=wrong[0].reason, message=sentences(wrong))
    if state.observing:
        return ConditionUpdate("Programmed", holds=False, reason=OBSERVING, message=_OBSERVES)
    if not state.programmed:
        return ConditionUpdate("Programmed", holds=False, reason="Starting", message="the first sync has not ended yet")
    notes = [finding for finding in state.findings if finding.topic is Topic.TRAFFIC]
    return ConditionUpdate("Programmed", holds=True, reason="Synced", message=sentences(notes) or "the Services are in the kernel")


def _part(topic: Topic, findings: Iterable[Finding]) -> ConditionUpdate:
    findings = [finding for finding in findings if finding.topic is topic]
    wrong = _wrong(topic, findings)
    if wrong:
        return ConditionUpdate(topic.value, holds=False, reason=wrong[0].reason, message=sentences(wrong))
    reason = findings[0].reason if findings else "AsExpected"
    return ConditionUpdate(topic.value, holds=True, reason=reason, message=sentences(findings) or "the node matches its ProxyConfig")


def _degraded(state: NodeState, others: Iterable[ConditionUpdate]) -> ConditionUpdate:
    wrong = [(update.reason, update.message) for update in others if not update.holds and update.reason not in ("Starting", OBSERVING)]
    if state.refused:
        wrong.append(("QuarantinedServices", f"Services not fully programmed: {_names(state.refused)}"))
    wrong += [(finding.reason, finding.message) for finding in _wrong(Topic.AGENT, state.findings)]
    if not wrong:
        return ConditionUpdate("Degraded", holds=False, reason="AsExpected", message="the node matches its ProxyConfig")
    return ConditionUpdate("Degraded", holds=True, reason=wrong[0][0], message=_cut("; ".join(message for _, message in wrong)))


def _ready(programmed: ConditionUpdate, connected: ConditionUpdate, degraded: ConditionUpdate) -> ConditionUpdate:
    if programmed.reason == OBSERVING and connected.holds:
        return ConditionUpdate("Ready", holds=True, reason=OBSERVING, message=programmed.message)
    wrong = [each for each in (programmed, connected) if not each.holds]
    if wrong:
        # A list that fails is why an agent has not programmed the node yet.
        why = next((each for each in wrong if each.reason != "Starting"), wrong[0])
        return ConditionUpdate("Ready", holds=False, reason=why.reason, message=why.message)
    if degraded.holds:
        return ConditionUpdate(
            "Ready", holds=True, reason=degraded.reason, message=_cut(f"the Services are in the kernel; {degraded.message}")
        )
    return ConditionUpdate("Ready", holds=True, reason=programmed.reason, message=programmed.message)


def _wrong(topic: Topic, findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.topic is topic and not finding.harmless]


def _names(refused: tuple[Refusal, ...]) -> str:
    return listed(sorted({str(refusal.service) for refusal in refused}), QUARANTINED_LIMIT)


def sentences(findings: Iterable[Finding]) -> str:
    return _cut("; ".join(finding.message for finding in findings))


def _cut(text: str) -> str:
    return text if len(text) <= MESSAGE_LIMIT else f"{text[: MESSAGE_LIMIT - 1]}…"
