"""What becomes an Event, once: a Service that is set aside, on the Service; what happens to the node's rules, on the Node. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from proxyconfig_agent.dataplane import Refusal
from proxyconfig_agent.ingest.values import ServiceName
from proxyconfig_agent.node.finding import Finding
from proxyconfig_agent.report.healthports import Unopened


@dataclass(frozen=True, slots=True)
class Notice:
    """An Event to post: about a Service, or about the Node where `service` is None."""

    service: ServiceName | None
    reason: str
    action: str
    note: str
    warning: bool = True


@dataclass(frozen=True, slots=True)
class Told:
    """What users were told already and still holds."""

    refused: frozenset[Refusal] = frozenset()
    findings: frozenset[Finding] = frozenset()


def news(told: Told, refused: Iterable[Refusal], findings: Iterable[Finding]) -> tuple[tuple[Notice, ...], Told]:
    """The notices for what holds now and was not told yet, in order; and what is told then.

    Something that went away and comes back is news again."""
    now = Told(frozenset(refused), frozenset(finding for finding in findings if not finding.harmless))
    quarantined = sorted(now.refused - told.refused, key=lambda refusal: (refusal.service, refusal.reason))
    found = sorted(now.findings - told.findings, key=lambda finding: (finding.reason, finding.message))
    notices = (
        *(_quarantined(refusal) for refusal in quarantined),
        *(Notice(None, finding.reason, "Configuring", finding.message) for finding in found),
    )
    return notices, now


def _quarantined(refusal: Refusal) -> Notice:
    """What is wrong with the Service itself is told there, once for the cluster; what only this node cannot do, here."""
    if refusal.everywhere:
        return Notice(refusal.service, "Quarantined", "Programming", refusal.reason)
    return Notice(None, "ServiceRefused", "Programming", f"Service {refusal.service} is not served on this node: {refusal.reason}")


def repaired(what: str) -> Notice:
    """Rules that somebody else changed were put right."""
    return Notice(None, "DriftRepaired", "Repairing", f"somebody else changed the proxy's rules on this node; repaired: {what}")


def not_opened(port: Unopened) -> Notice:
    """By kube-proxy's words for reason and action; the same words whichever node says it, as it is told once in the cluster."""
    fix = "stop what listens there" if port.taken else "free it there"
    note = (
        f"a node cannot open spec.healthCheckNodePort {port.port}: {port.reason}; {fix}, or choose another port: until then load balancers "
        "send such nodes nothing; their NodeProxies say HealthCheckNodePortsClosed"
    )
    return Notice(port.service, "FailedToStartServiceHealthcheck", "Listen", note)
