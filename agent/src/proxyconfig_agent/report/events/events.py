"""What becomes an Event, once: a Service that is quarantined, on the Service; what happens to the node's rules, on the Node. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.report.healthcheck.ports import Unopened
from proxyconfig_agent.state.findings import Finding
from proxyconfig_api.objects.nodeproxy import ModeStatus
from proxyconfig_api.spec.sections import Mode
from proxyconfig_api.status.messages import listed


class NodeEvent(Struct, frozen=True):
    """An Event to post: about a Service, or about the Node where `service` is None."""

    service: ServiceName | None
    reason: str
    action: str
    note: str
    warning: bool = True


class Posted(Struct, frozen=True):
    """What has an Event already, and is still true."""

    refused: frozenset[Refusal] = frozenset()
    findings: frozenset[Finding] = frozenset()


def new_events(
    posted: Posted, refused: Iterable[Refusal], findings: Iterable[Finding], room: int
) -> tuple[tuple[NodeEvent, ...], Posted, int]:
    """The Events for what is true now and has none yet, in order, at most `room`; what has one then; and how many were left out.

    Something that went away and comes back is new again. What is left out counts as not posted: it is offered again at the next call."""
    now = Posted(frozenset(refused), frozenset(finding for finding in findings if not finding.harmless))
    new_refused = sorted(now.refused - posted.refused, key=lambda refusal: (refusal.service, refusal.reason))
    new_findings = sorted(now.findings - posted.findings, key=lambda finding: (finding.reason, finding.message))
    late_findings = new_findings[room:]
    late_refused = new_refused[max(0, room - len(new_findings)) :]
    events = (
        *(_found(finding) for finding in new_findings[:room]),
        *(_quarantined(refusal) for refusal in new_refused[: max(0, room - len(new_findings))]),
    )
    return (
        events,
        Posted(now.refused.difference(late_refused), now.findings.difference(late_findings)),
        len(late_findings) + len(late_refused),
    )


def _found(finding: Finding) -> NodeEvent:
    return NodeEvent(None, finding.reason, "Configuring", finding.message)


def _quarantined(refusal: Refusal) -> NodeEvent:
    """An Event on the Service for a fault of the Service, once per cluster; an Event on the Node for a refusal of this node alone."""
    if refusal.everywhere:
        return NodeEvent(refusal.service, "Quarantined", "Programming", refusal.reason)
    how = "as it asks to be" if refusal.partly else "on this node"
    return NodeEvent(None, "ServiceRefused", "Programming", f"Service {refusal.service} is not served {how}: {refusal.reason}")


def repaired(what: str) -> NodeEvent:
    """Rules that another program changed are repaired."""
    return NodeEvent(None, "DriftRepaired", "Repairing", f"another program changed the proxy's rules on this node; repaired: {what}")


def discarded(what: str, kept: Sequence[str]) -> NodeEvent:
    """What a kube-proxy had left is removed, but for what was kept."""
    proof = f"a scan still finds {listed(kept)}, as rules of other programs lead there" if kept else "a scan finds nothing of it any more"
    note = f"removed what kube-proxy left on this node: {what}; {proof}"
    return NodeEvent(None, "KubeProxyRulesRemoved", "Removing", note, warning=False)


def mode_changed(before: str, mode: ModeStatus) -> tuple[NodeEvent, ...]:
    """An Event if `auto` has taken another mode than `before`; a change that the spec asks for by name is no news."""
    if mode.desired != Mode.AUTO or not (before and mode.effective) or before == mode.effective:
        return ()
    return (NodeEvent(None, "ModeChanged", "Configuring", f"{mode.message}; before, the node ran {before}", warning=False),)


def not_opened(port: Unopened) -> NodeEvent:
    """Reason and action in kube-proxy's words; the same on every node, so that the cluster has one Event."""
    fix = "stop what listens there" if port.taken else "free it there"
    note = (
        f"a node cannot open spec.healthCheckNodePort {port.port}: {port.reason}; {fix}, or choose another port: until then load balancers "
        "send such nodes nothing; their NodeProxies say HealthCheckNodePortsClosed"
    )
    return NodeEvent(port.service, "FailedToStartServiceHealthcheck", "Listen", note)
