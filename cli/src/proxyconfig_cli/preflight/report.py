"""All checks of a cluster, and what they have found, the worst first."""

from __future__ import annotations

from collections.abc import Iterable

from proxyconfig_api.status.messages import counted
from proxyconfig_cli.preflight import node_checks, service_checks
from proxyconfig_cli.preflight.facts import Facts
from proxyconfig_cli.preflight.findings import Finding, Severity


def report(facts: Facts) -> tuple[Finding, ...]:
    found = [finding for check in (*node_checks.CHECKS, *service_checks.CHECKS) for finding in check(facts)]
    order = list(Severity)
    return tuple(sorted(_merged(found), key=lambda finding: order.index(finding.severity)))


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for all nodes that say the same."""
    merged: dict[tuple[Severity, str, str], list[str]] = {}
    for each in findings:
        merged.setdefault((each.severity, each.check, each.message), []).extend(each.objects)
    return [Finding(*same, tuple(objects)) for same, objects in merged.items()]


def summary(findings: Iterable[Finding]) -> str:
    """`1 problem, 2 changes, 0 notes`."""
    counts = dict.fromkeys(Severity, 0)
    for finding in findings:
        counts[finding.severity] += 1
    return ", ".join(counted(count, severity.lower()) for severity, count in counts.items())
