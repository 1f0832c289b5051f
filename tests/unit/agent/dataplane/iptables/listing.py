"""Rules as text that people can compare: `table CHAIN rule`, with short names instead of hashes."""

from __future__ import annotations

from textwrap import dedent

from tests.unit.agent.dataplane.nftables.frontends import network

from proxyconfig_agent.dataplane.iptables.lower import lower
from proxyconfig_agent.dataplane.iptables.model.chain_names import hash_of
from proxyconfig_agent.dataplane.iptables.model.endpoint_chains import endpoints_of
from proxyconfig_agent.dataplane.iptables.model.ruleset import Features
from proxyconfig_agent.dataplane.port import LocalTraffic, Settings
from proxyconfig_agent.select.frontends import Frontends

PODS = LocalTraffic(cidrs=(network("10.244.0.0/16"), network("fd00:244::/32")))
SETTINGS = Settings(local_traffic=PODS)


def listing(frontends: Frontends, settings: Settings = SETTINGS, features: Features | None = None, *, large: bool = False) -> str:
    """All rules of a Service port. A chain of its own is called KUBE-SVC-*, and so on; an endpoint's KUBE-SEP-10.0.0.1:80."""
    rules = lower(frontends, settings, features or Features(), large=large)
    lines = [f"{chain.table} {chain.name} {rule}" for chain, rule in rules.shared]
    lines += [f"nat {chain} {rule}" for chain, own in rules.own.items() for rule in own]
    text = "\n".join(lines).replace(hash_of(frontends.name), "*")
    for backends in (frontends.cluster, frontends.local):
        for endpoint in endpoints_of(frontends, backends):
            text = text.replace(endpoint.chain, f"KUBE-SEP-{endpoint.text}")
    return text


def lines(text: str) -> str:
    return dedent(text).strip()
