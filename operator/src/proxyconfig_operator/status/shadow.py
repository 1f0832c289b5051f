"""What the nodes of a ProxyConfig have found that compare kube-proxy's rules with those of their agents. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from proxyconfig_api.status.shadow import LIMIT, Difference, FleetShadow, Shadow, score_of


def together(shadows: Mapping[str, Shadow]) -> FleetShadow | None:
    """By node; None where no node compares. A Service that differs on several nodes is named with the first of them by name."""
    if not shadows:
        return None
    flows, matching = sum(each.flows for each in shadows.values()), sum(each.matching for each in shadows.values())
    named: dict[str, str] = {}
    for node, shadow in sorted(shadows.items()):
        for each in shadow.services:
            named.setdefault(each.service, f"{node}: {each.message}")
    return FleetShadow(
        nodes=len(shadows),
        score=score_of(matching, flows),
        flows=flows,
        matching=matching,
        differing=sum(each.differing for each in shadows.values()),
        services=tuple(Difference(service=service, message=named[service]) for service in sorted(named)[:LIMIT]),
    )
