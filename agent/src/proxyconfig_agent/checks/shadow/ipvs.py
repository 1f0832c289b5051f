"""Both sides of one family in ipvs mode, as `checks.walker.ipvs` walks them: virtual servers between rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from proxyconfig_agent.checks.shadow.comparison import Side
from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.shadow.iptables import Chains
from proxyconfig_agent.checks.shadow.nftables import filled
from proxyconfig_agent.checks.walker.iptables.rules import IptablesRules
from proxyconfig_agent.checks.walker.iptables.sets import IpSet
from proxyconfig_agent.checks.walker.ipvs import IpvsRules, Server
from proxyconfig_agent.checks.walker.nftables.rules import NftablesRules
from proxyconfig_agent.dataplane.ipvs.delta import ServerDelta
from proxyconfig_agent.dataplane.ipvs.model.base_chains import fixed
from proxyconfig_agent.dataplane.ipvs.model.servers import WEIGHT
from proxyconfig_agent.dataplane.ipvs.model.table import TABLE
from proxyconfig_agent.dataplane.ipvs.table.state import FamilyState
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer
from proxyconfig_agent.select.frontends import Frontends


class KubeProxyServers(Struct, frozen=True):
    """What kube-proxy has for one family."""

    family: Family
    chains: Chains
    sets: Mapping[str, IpSet]
    servers: Mapping[VirtualServer, Server]
    bound: Mapping[bytes, bytes]
    """The addresses of its link, each with the source of what processes of the node send there: itself."""

    def sides(self, ports: Sequence[Frontends], settings: Settings, node: NodeAddresses) -> tuple[Side, Side]:
        """These, and what ipvs mode makes of these Service ports. Raises RefusedError."""
        rules = IpvsRules(IptablesRules({self.family.value: self.chains}, self.sets), self.servers)
        return Side(rules, NodeAddresses(node.local, self.bound)), desired(ports, settings, node)


def desired(ports: Iterable[Frontends], settings: Settings, node: NodeAddresses) -> Side:
    """What ipvs mode makes of Service ports of one family in an empty kernel. Raises RefusedError."""
    wanted = {port.name: port for port in ports}
    (family,) = {port.family for port in wanted.values()}
    plan = FamilyState(family, settings, lambda: 0.0).plan(wanted)
    table = filled(fixed(settings, family), {}, [plan.elements.added])
    source = next((address for address in settings.node_addresses if len(address) == family.size), b"")
    rules = IpvsRules(NftablesRules({(NFPROTO[family], TABLE): table}), _made(plan.servers))
    return Side(rules, NodeAddresses(node.local, {address: source or address for address in plan.routes_added}))


def _made(delta: ServerDelta) -> dict[VirtualServer, Server]:
    found = {key: Server(scheduling) for key, scheduling in delta.made.items()}
    for key, destination in delta.added:
        found[key].destinations[destination] = delta.weights.get(key, WEIGHT)
    return found
