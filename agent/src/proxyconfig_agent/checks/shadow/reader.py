"""Reads the rules of a kube-proxy, in the mode that it has."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing

from proxyconfig_agent.checks.shadow import ipvs_reader
from proxyconfig_agent.checks.shadow.comparison import KubeProxyRules
from proxyconfig_agent.checks.shadow.iptables import Chains, saved
from proxyconfig_agent.checks.shadow.nftables import KubeProxyTable
from proxyconfig_agent.checks.shadow.nftables_reader import kube_proxy_tables
from proxyconfig_agent.dataplane.iptables.model import chain_names
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.dataplane.iptables.tools.binaries import Tool, choose
from proxyconfig_agent.dataplane.iptables.tools.program import ToolError
from proxyconfig_agent.dataplane.port import LackingError
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError

_SERVICES = Chain(Table.NAT, chain_names.SERVICES)


def read() -> Mapping[Family, KubeProxyRules]:
    """Of the families in which kube-proxy has rules, in the network namespace of the calling thread. What cannot be read is not there.

    A kube-proxy that starts removes what it left in another mode, so those of one mode are all there are."""
    return _of_nftables() or _of_chains()


def _of_nftables() -> dict[Family, KubeProxyTable]:
    try:
        with closing(Connection()) as connection:
            return {family: KubeProxyTable(family, table) for family, table in kube_proxy_tables(connection).items()}
    except (KernelError, OSError):
        return {}


def _of_chains() -> Mapping[Family, KubeProxyRules]:
    chains = _of_iptables()
    if not any(map(ipvs_reader.is_ipvs, chains.values())):
        return chains
    try:
        return ipvs_reader.read(chains)
    except OSError:
        return {}


def _of_iptables() -> dict[Family, Chains]:
    try:
        backend = choose()
        found = {family: saved(Tool(family, backend).save()) for family in Family}
    except (ToolError, LackingError, OSError):
        return {}
    return {family: chains for family, chains in found.items() if chains.chains.get(_SERVICES)}
