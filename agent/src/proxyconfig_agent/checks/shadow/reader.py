"""Reads the rules of a kube-proxy in iptables mode, as iptables-save prints them."""

from __future__ import annotations

from proxyconfig_agent.checks.shadow.tables import Chains, saved
from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.dataplane.iptables.tools.binaries import Tool, choose
from proxyconfig_agent.dataplane.iptables.tools.program import ToolError
from proxyconfig_agent.dataplane.port import LackingError
from proxyconfig_agent.ingest.model import Family

_SERVICES = Chain(Table.NAT, chain_names.SERVICES)


def read() -> dict[Family, Chains]:
    """Of the families in which kube-proxy has chains, in the network namespace of the calling thread. What cannot be read is not there."""
    try:
        backend = choose()
        found = {family: saved(Tool(family, backend).save()) for family in Family}
    except (ToolError, LackingError, OSError):
        return {}
    return {family: chains for family, chains in found.items() if chains.chains.get(_SERVICES)}
