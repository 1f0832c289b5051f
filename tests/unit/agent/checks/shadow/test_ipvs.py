"""What the real kube-proxy has in ipvs mode does what the agent would do, but for known exceptions; and each part of it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import pytest
from tests.support.netns.topology import NODE, POD_CIDR
from tests.support.scenarios.cases import rounds_of
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.scenario import load
from tests.support.simulator.ipvs.mode import IpvsMode
from tests.support.simulator.modes import SimulatedPipeline
from tests.support.simulator.node import NetnsNode
from tests.unit.agent.checks.shadow import recorded_ipvs
from tests.unit.agent.dataplane.nftables.frontends import ip, network

from proxyconfig_agent.checks.shadow.comparison import Compared, KubeProxyRules, Side, compared, differences
from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.shadow.ipvs import KubeProxyServers, desired
from proxyconfig_agent.checks.shadow.ipvs_reader import kube_proxy_servers
from proxyconfig_agent.checks.walker.iptables.sets import IpSet
from proxyconfig_agent.dataplane.iptables.model.ruleset import Chain, Table
from proxyconfig_agent.dataplane.port import LocalTraffic, Settings
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.select.frontends import Frontends

Change = Callable[[KubeProxyServers], None]
LOCAL = NetnsNode().addresses
OTHERWISE = {"both-local", "external-local-without-local", "ranges-local", "row-034", "row-049", "row-057", "row-071"}
"""Scenarios of which a Service differs: each has a policy Local (tests/acceptance/upstreamipvs.yaml)."""
RANGES = {"row-015", "row-020", "shared-balancer"}
NODE_PORTS = {"host-network", "matrix-node-port", "row-041", "row-088", *RANGES}
SERVED = {"affinity-endpoint-goes", "row-006", "row-047", "type-changes", *NODE_PORTS}
SETTINGS = Settings(
    local_traffic=LocalTraffic(cidrs=tuple(map(network, POD_CIDR.both))),
    node_addresses=tuple(map(ip, NODE.both)),
    node_port_addresses=tuple(map(ip, NODE.both)),
)


@dataclass
class Programmed:
    """A node on which ipvs mode is, in place of kube-proxy."""

    mode: IpvsMode

    def sides(self, ports: Sequence[Frontends], settings: Settings, node: NodeAddresses) -> tuple[Side, Side]:
        return Side(self.mode.rules, NodeAddresses(node.local, self.mode.kernel.routes.sources)), desired(ports, settings, node)


def compare(theirs: Mapping[Family, KubeProxyRules], pipeline: SimulatedPipeline, settings: Settings, step: int = 1) -> list[Compared]:
    """All Services, or one of so many."""
    view, node = pipeline.cluster.view(), NodeAddresses(LOCAL)
    return [compared(name, [*differences(view.select(name).ports, theirs, settings, node)]) for name in list(view.names())[::step]]


@pytest.mark.parametrize(("config", "step"), [("default", 8), ("masquerade-all-no-detector", 1), ("interface-prefix", 1)])
def test_what_is_walked_as_the_agents_is_what_ipvs_mode_makes(config: str, step: int) -> None:
    mode = IpvsMode()
    pipeline = SimulatedPipeline(mode, CONFIGS[config])
    pipeline.apply(next(each for each in rounds_of(load(), mode="ipvs") if each.config == config).objects)
    found = compare(dict.fromkeys(Family, Programmed(mode)), pipeline, pipeline.settings(CONFIGS[config]), step)
    assert [each for each in found if each.difference] == []
    assert sum(each.flows for each in found) > len(found)


@pytest.fixture
def servers() -> dict[Family, KubeProxyServers]:
    return kube_proxy_servers(recorded_ipvs.chains(), recorded_ipvs.sources())


def differing(theirs: Mapping[Family, KubeProxyServers]) -> dict[str, str]:
    """The first difference of a Service of each scenario that has one."""
    pipeline = SimulatedPipeline(IpvsMode(), CONFIGS["default"])
    pipeline.put(recorded_ipvs.objects())
    return {each.service.namespace: each.difference for each in compare(theirs, pipeline, SETTINGS) if each.difference}


def test_services_match_but_for_those_with_a_policy_that_kube_proxy_serves_otherwise_in_this_mode(
    servers: dict[Family, KubeProxyServers],
) -> None:
    assert set(differing(servers)) == OTHERWISE


def _empty_set(stem: str) -> Change:
    def change(there: KubeProxyServers) -> None:
        sets = cast("dict[str, IpSet]", there.sets)
        name = f"KUBE-{'6-' if there.family is Family.IPV6 else ''}{stem}"
        assert name in sets
        sets[name] = IpSet("hash:ip", [])

    return change


def _empty_chain(table: Table, name: str) -> Change:
    def change(there: KubeProxyServers) -> None:
        assert there.chains.chains[Chain(table, name)]
        there.chains.chains[Chain(table, name)] = ()

    return change


def _no_weight(there: KubeProxyServers) -> None:
    """Of the first destination of every virtual server."""
    for server in there.servers.values():
        for destination in sorted(server.destinations)[:1]:
            server.destinations[destination] = 0


def _nothing_bound(there: KubeProxyServers) -> None:
    cast("dict[bytes, bytes]", there.bound).clear()


@pytest.mark.parametrize(
    ("family", "change", "scenarios", "words"),
    [
        (Family.IPV4, _empty_set("CLUSTER-IP"), SERVED, "ClusterIP"),
        (Family.IPV6, _empty_set("EXTERNAL-IP"), {"row-041", "row-088", "type-changes"}, "external IP"),
        (Family.IPV4, _empty_set("LOAD-BALANCER"), {"row-041", "row-088", *RANGES}, "load balancer IP"),
        (Family.IPV6, _empty_set("LOAD-BALANCER-FW"), RANGES, "the agent drops"),
        (Family.IPV4, _empty_set("NODE-PORT-TCP"), NODE_PORTS, "masqueraded"),
        (Family.IPV6, _empty_set("NODE-PORT-SCTP-HASH"), NODE_PORTS, "masqueraded"),
        (Family.IPV4, _empty_chain(Table.FILTER, "KUBE-IPVS-OUT-FILTER"), RANGES, "the node to load balancer IP"),
        (Family.IPV6, _empty_chain(Table.FILTER, "KUBE-PROXY-FIREWALL"), RANGES, "a client outside to load balancer IP"),
        (Family.IPV4, _empty_chain(Table.NAT, "KUBE-POSTROUTING"), SERVED, "masqueraded"),
        (Family.IPV4, _no_weight, SERVED, "the agent sends to"),
        (Family.IPV6, _nothing_bound, {"row-002", *SERVED}, "ClusterIP"),
    ],
    ids=["cluster-ips", "external-ips", "balancers", "ranges", "node-ports", "sctp", "node", "firewall", "masquerade", "weights", "link"],
)
def test_a_part_that_is_changed_is_a_difference_of_the_services_that_it_is_for(
    servers: dict[Family, KubeProxyServers], family: Family, change: Change, scenarios: set[str], words: str
) -> None:
    change(servers[family])
    found = differing(servers)
    assert set(found) - OTHERWISE == scenarios
    assert all(words in found[each] for each in scenarios), found
