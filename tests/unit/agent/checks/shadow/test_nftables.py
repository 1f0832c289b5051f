"""The tables of the real kube-proxy in nftables mode do what the agent would do, and each part of them counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from msgspec.structs import replace
from tests.support.scenarios.configs import CLUSTER_CIDR, CONFIGS
from tests.support.simulator.iptables.mode import IptablesMode
from tests.support.simulator.modes import SimulatedPipeline
from tests.support.simulator.node import NetnsNode
from tests.unit.agent.checks.shadow.recorded import Recorded, objects
from tests.unit.agent.dataplane.nftables.frontends import network

from proxyconfig_agent.checks.shadow.comparison import Compared, compared, differences
from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.shadow.nftables import KubeProxyTable
from proxyconfig_agent.checks.shadow.nftables_reader import kube_proxy_tables
from proxyconfig_agent.checks.walker.nftables.tables import Table
from proxyconfig_agent.dataplane.port import LocalTraffic, Settings
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import uapi

Tables = Mapping[Family, Table]
SETTINGS = Settings(
    local_traffic=LocalTraffic(cidrs=tuple(map(network, CLUSTER_CIDR.both))),
    node_addresses=tuple(each.address for each in NetnsNode().addresses),
)


@pytest.fixture
def tables() -> Tables:
    return kube_proxy_tables(Recorded())


def compare(tables: Tables) -> list[Compared]:
    pipeline = SimulatedPipeline(IptablesMode(), CONFIGS["default"])
    pipeline.put(objects())
    view, node = pipeline.cluster.view(), NodeAddresses(NetnsNode().addresses)
    theirs = {family: KubeProxyTable(family, table) for family, table in tables.items()}
    return [compared(name, [*differences(view.select(name).ports, theirs, SETTINGS, node)]) for name in view.names()]


def differing(tables: Tables) -> dict[str, str]:
    return {each.service.namespace: each.difference for each in compare(tables) if each.difference}


def test_every_flow_to_every_service_matches(tables: Tables) -> None:
    found = compare(tables)
    assert [each for each in found if each.difference] == []
    assert sum(each.flows for each in found) > 200


def test_what_packets_wrote_into_sets_of_session_affinity_is_not_read(tables: Tables) -> None:
    affinity = [each for name, each in tables[Family.IPV4].sets.items() if name.startswith("affinity-")]
    assert [each.elements for each in affinity if each.flags & uapi.NFT_SET_EVAL] == [{}] * len(affinity) != []


def _empty_chain(beginning: str) -> Callable[[Table], None]:
    def change(table: Table) -> None:
        for name, chain in table.chains.items():
            if name.startswith(beginning):
                chain.rules = ()

    return change


def _empty_set(name: str) -> Callable[[Table], None]:
    return lambda table: table.sets[name].elements.clear()


def _other_endpoint(table: Table) -> None:
    """Of every Service, the first in the list."""
    for name, each in table.sets.items():
        if name.startswith("__map") and not any(element.verdict for element in each.elements.values()):
            key, element = next(iter(each.elements.items()))
            each.elements[key] = replace(element, value=bytes(len(element.value)))


@pytest.mark.parametrize(
    ("family", "change", "namespaces", "words"),
    [
        (Family.IPV4, _empty_chain("masquerading"), {"affinity-endpoint-goes", "row-015", "row-057"}, "masqueraded"),
        (Family.IPV6, _empty_chain("firewall-"), {"row-015"}, "the agent drops"),
        (Family.IPV4, _empty_chain("endpoint-"), {"affinity-endpoint-goes"}, "kube-proxy rejects"),
        (Family.IPV6, _empty_chain("local-"), {"row-057"}, "kube-proxy"),
        (Family.IPV4, _empty_set("no-endpoint-services"), {"row-002"}, "the agent rejects"),
        (Family.IPV6, _empty_set("service-nodeports"), {"row-015", "row-057"}, "NodePort"),
        (Family.IPV4, _empty_set("cluster-ips"), {"affinity-endpoint-goes", "row-015", "row-057"}, "masqueraded"),
        (Family.IPV6, _other_endpoint, {"row-015", "row-057"}, "kube-proxy sends to"),
    ],
    ids=["masquerade", "firewall", "affinity", "local", "no-endpoints", "node-ports", "cluster-ips", "endpoint"],
)
def test_a_part_that_is_changed_is_a_difference_of_the_services_that_it_is_for(
    tables: Tables, family: Family, change: Callable[[Table], None], namespaces: set[str], words: str
) -> None:
    change(tables[family])
    found = differing(tables)
    assert set(found) == namespaces
    assert all(words in each for each in found.values()), found
