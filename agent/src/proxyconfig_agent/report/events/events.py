"""What becomes an Event, once: a Service that is set aside, on the Service; what happens to the node's rules, on the Node. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from proxyconfig_agent.dataplane.port import Refusal
from proxyconfig_agent.ingest.model import ServiceName
from proxyconfig_agent.report.healthcheck.ports import Unopened
from proxyconfig_agent.state.findings import Finding


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """An Event to post: about a Service, or about the Node where `service` is None."""

    service: ServiceName | None
    reason: str
    action: str
    note: str
    warning: bool = True


@dataclass(frozen=True, slots=True)
class Posted:
    """What users were told already and still holds."""

    refused: frozenset[Refusal] = frozenset()
    findings: frozenset[Finding] = frozenset()


def news(told: Posted, refused: Iterable[Refusal], findings: Iterable[Finding]) -> tuple[tuple[NodeEvent, ...], Posted]:
    """The notices for what holds now and was not told yet, in order; and what is told then.

    Something that went away and comes back is news again."""
    now = Posted(frozenset(refused), frozenset(finding for finding in findings if not finding.harmless))
    quarantined = sorted(now.refused - told.refused, key=lambda refusal: (refusal.service, refusal.reason))
    found = sorted(now.findings - told.findings, key=lambda finding: (finding.reason, finding.message))
    notices = (
        *(_quarantined(refusal) for refusal in quarantined),
        *(NodeEvent(None, finding.reason, "Configuring", finding.message) for finding in found),
    )
    return notices, now


def _quarantined(refusal: Refusal) -> NodeEvent:
    """What is wrong with the Service itself is told there, once for the cluster; what only this node cannot do, here."""
    if refusal.everywhere:
        return NodeEvent(refusal.service, "Quarantined", "Programming", refusal.reason)
    return NodeEvent(None, "ServiceRefused", "Programming", f"Service {refusal.service} is not served on this node: {refusal.reason}")


def repaired(what: str) -> NodeEvent:
    """Rules that somebody else changed were put right."""
    return NodeEvent(None, "DriftRepaired", "Repairing", f"somebody else changed the proxy's rules on this node; repaired: {what}")


def not_opened(port: Unopened) -> NodeEvent:
    """By kube-proxy's words for reason and action; the same words whichever node says it, as it is told once in the cluster."""
    fix = "stop what listens there" if port.taken else "free it there"
    note = (
        f"a node cannot open spec.healthCheckNodePort {port.port}: {port.reason}; {fix}, or choose another port: until then load balancers "
        "send such nodes nothing; their NodeProxies say HealthCheckNodePortsClosed"
    )
    return NodeEvent(port.service, "FailedToStartServiceHealthcheck", "Listen", note)
