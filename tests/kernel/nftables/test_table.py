"""The table in a real kernel: readable, adopted, repaired, removed; nothing else touched."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.kernel.nftables.examples import SETTINGS, every_kind, many, with_other_endpoint
from tests.support.netns.namespace import Namespace
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip, network, port_name

from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.nftables.sync.reconcile import CHUNK, SPARE_PICKS
from proxyconfig_agent.dataplane.port import Change, DataplaneError, LocalTraffic, Settings
from proxyconfig_agent.ingest.model import ANY
from proxyconfig_agent.select.frontends import Backends, Frontends

pytestmark = pytest.mark.kernel

Start = Callable[[], Nftables]

FOREIGN = """
table ip kube-proxy {
    map service-ips { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.96.0.1 . tcp . 80 : drop } }
    chain services { ip daddr . meta l4proto . th dport vmap @service-ips; }
    chain nat-prerouting { type nat hook prerouting priority dstnat; jump services; }
}
table inet firewall {
    set admitted { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 } }
    chain input { type filter hook input priority filter; ip saddr @admitted counter accept; }
}
"""


def ruleset(node: Namespace) -> str:
    return node.run("nft", "list", "ruleset")


def rules(listing: str) -> dict[str, list[str]]:
    """The lines of each chain of `nft -a list table`, with their handles."""
    chains: dict[str, list[str]] = {}
    lines = iter(listing.splitlines())
    for line in lines:
        if line.startswith("\tchain "):
            chains[line.split()[1]] = list(itertools.takewhile(lambda rule: rule != "\t}", lines))
    return chains


def test_what_nft_prints_names_every_service(node: Namespace, dataplane: Nftables) -> None:
    dataplane.resync(SETTINGS, every_kind())
    listing = ruleset(node)
    for port in every_kind():
        assert f'comment "{port.name}"' in listing
    assert 'elements = { tcp . 30004 comment "shop/nodeport:http"' in listing
    assert "dnat ip to meta priority & ffff:c000 . numgen random mod 2 map @endpoints" in listing
    assert "dnat ip6 to meta priority & ffff:c000 . numgen random mod 2 map @endpoints" in listing
    assert listing.rstrip().endswith("}")


def test_nft_prints_json(node: Namespace, dataplane: Nftables) -> None:
    dataplane.resync(SETTINGS, every_kind())
    assert len(json.loads(node.run("nft", "-j", "list", "ruleset"))["nftables"]) > 100


def test_the_number_of_rules_does_not_depend_on_the_number_of_services(node: Namespace, dataplane: Nftables) -> None:
    counts = []
    for services in (10, 1000):
        dataplane.resync(SETTINGS, many(services, 3))
        counts.append(sum(map(len, rules(node.run("nft", "-ta", "list", "table", "ip", "proxyconfig")).values())))
    assert counts[0] == counts[1]


def test_a_converged_kernel_is_left_alone(dataplane: Nftables) -> None:
    assert dataplane.resync(SETTINGS, every_kind()).operations > 0
    again = dataplane.resync(SETTINGS, every_kind())
    assert (again.operations, again.repaired) == (0, "")


def test_a_restarted_agent_adopts_what_is_there(start: Start) -> None:
    start().resync(SETTINGS, every_kind())
    restarted = start()
    assert restarted.resync(SETTINGS, every_kind()).operations == 0
    assert not restarted.disturbed()
    assert restarted.apply([Change(port, port) for port in every_kind()]).operations == 0


@pytest.mark.parametrize("seed", range(5))
def test_any_changes_end_where_a_restart_finds_nothing_to_do(start: Start, seed: int) -> None:
    chance = random.Random(seed)
    dataplane, state = start(), list[Frontends]()
    dataplane.resync(SETTINGS, [])
    kinds = every_kind()
    for _ in range(30):
        changes = []
        for kind in chance.sample(kinds, 3):
            old = next((port for port in state if (port.name, port.family) == (kind.name, kind.family)), None)
            new = chance.choice(
                [None, kind, replace(kind, affinity_s=60), replace(kind, cluster=Backends(kind.cluster[: kind.family.size + 2]))]
            )
            changes.append(Change(old, new))
            state = [port for port in state if port is not old] + ([new] if new else [])
        assert not dataplane.apply(changes).refused
    assert start().resync(SETTINGS, state).operations == 0


def test_an_endpoint_change_touches_one_element(dataplane: Nftables) -> None:
    ports = list(many(20, 5))
    dataplane.resync(SETTINGS, ports)
    changed = with_other_endpoint(ports[3], 1)
    assert dataplane.apply([Change(ports[3], changed)]).operations == 2


def test_other_tables_stay_as_they_are(node: Namespace, dataplane: Nftables) -> None:
    node.run("nft", "-f", "-", stdin=FOREIGN)
    before = node.run("nft", "-a", "list", "ruleset")
    dataplane.probe()
    dataplane.resync(SETTINGS, every_kind())
    dataplane.apply([Change(every_kind()[0], None)])
    after = "".join(node.run("nft", "-a", "list", "table", *table) for table in (("ip", "kube-proxy"), ("inet", "firewall")))
    assert after == before
    dataplane.remove()
    assert node.run("nft", "-a", "list", "ruleset") == before


def test_removal_leaves_nothing(node: Namespace, dataplane: Nftables) -> None:
    dataplane.resync(SETTINGS, every_kind())
    assert "table ip proxyconfig" in dataplane.scan()
    dataplane.remove()
    assert dataplane.scan() == []
    assert ruleset(node) == ""
    dataplane.remove()


def test_the_probe_names_what_it_found_and_leaves_no_trace(node: Namespace, dataplane: Nftables) -> None:
    dataplane.resync(SETTINGS, [])
    assert set(dataplane.probe().features.values()) == {"available"}
    assert not dataplane.disturbed()
    assert "probe" not in ruleset(node)


@pytest.mark.parametrize(
    ("damage", "repaired"),
    [
        pytest.param("flush ruleset", "2 tables", id="everything-flushed"),
        pytest.param("flush table ip proxyconfig", "rules", id="rules-flushed"),
        pytest.param("flush chain ip proxyconfig services", "5 rules; of chain services", id="chain-flushed"),
        pytest.param("flush map ip6 proxyconfig services", "elements of services", id="map-flushed"),
        pytest.param("delete element ip proxyconfig nodeports { tcp . 30004 }", "1 elements of nodeports; of ", id="element-deleted"),
        pytest.param("add element ip proxyconfig no-endpoints { 10.96.0.1 . tcp . 80 }", "1 elements of no-endpoints", id="element-added"),
        pytest.param("add rule ip proxyconfig class drop", "1 rules; of chain class", id="rule-added"),
        pytest.param("insert rule ip proxyconfig pick-2 drop", "2 rules", id="rule-added-to-a-pick-chain"),
        pytest.param("add table ip proxyconfig { flags dormant; }", "1 tables", id="table-put-to-sleep"),
        pytest.param("add chain ip proxyconfig mine\nadd set ip proxyconfig own { type ipv4_addr; }", "", id="strange-chain-and-set"),
        pytest.param("delete table ip6 proxyconfig", "1 tables", id="one-family-deleted"),
    ],
)
def test_what_others_do_to_our_table_is_noticed_and_repaired(
    node: Namespace, dataplane: Nftables, start: Start, damage: str, repaired: str
) -> None:
    dataplane.resync(SETTINGS, every_kind())
    before = rules_and_elements(node)
    assert not dataplane.disturbed()
    node.run("nft", "-f", "-", stdin=damage + "\n")
    assert dataplane.disturbed()
    outcome = dataplane.resync(SETTINGS, every_kind())
    assert repaired in outcome.repaired
    assert rules_and_elements(node) == before
    assert not dataplane.disturbed()
    assert start().resync(SETTINGS, every_kind()).operations == 0


def rules_and_elements(node: Namespace) -> str:
    """What nft prints, in an order that does not depend on hash tables or on which chain was made first."""
    listing = ruleset(node)
    words = listing.replace("{", " ").replace("}", " ").replace(",", "\n").splitlines()
    return "\n".join(sorted(" ".join(line.split()) for line in words))


def test_changes_to_a_table_that_is_gone_ask_for_a_resync(node: Namespace, dataplane: Nftables) -> None:
    ports = every_kind()
    dataplane.resync(SETTINGS, ports)
    node.run("nft", "flush", "ruleset")
    with pytest.raises(DataplaneError, match="a full resync repairs it"):
        dataplane.apply([Change(ports[0], None)])
    assert dataplane.disturbed()
    assert dataplane.resync(SETTINGS, ports[1:]).operations > 0


def test_an_interrupted_cold_start_rejects_nothing_and_is_finished_by_the_next(node: Namespace, start: Start) -> None:
    ports = list(many(CHUNK // 10, 10))

    def interrupted() -> Iterator[Frontends]:
        yield from ports[:-10]
        raise InterruptedError

    with pytest.raises(InterruptedError):
        start().resync(SETTINGS, interrupted())
    listing = node.run("nft", "-ta", "list", "table", "ip", "proxyconfig")
    assert rules(listing)["cluster-ips-check"] == []
    restarted = start()
    assert 0 < restarted.resync(SETTINGS, ports).operations < CHUNK
    assert len(rules(node.run("nft", "-ta", "list", "table", "ip", "proxyconfig"))["cluster-ips-check"]) == 2
    assert start().resync(SETTINGS, ports).operations == 0


def test_a_service_that_the_kernel_refuses_is_refused_alone(node: Namespace, dataplane: Nftables) -> None:
    dataplane.resync(SETTINGS, [])
    # Another value for a key of the Service's own: the kernel does not exchange it.
    node.run("nft", "add", "element", "ip", "proxyconfig", "services", "{ 10.96.0.9 . tcp . 80 : 9fff:c003 }")
    ports = every_kind()
    outcome = dataplane.apply([Change(None, port) for port in ports])
    assert [str(refusal.service) for refusal in outcome.refused] == ["shop/ranges"]
    assert "the kernel refused set services" in outcome.refused[0].reason
    assert "shop/ranges" not in ruleset(node)
    assert 'comment "shop/sticky:http"' in ruleset(node)
    assert dataplane.disturbed()
    assert not dataplane.resync(SETTINGS, ports).refused
    assert "shop/ranges" in ruleset(node)


def test_an_address_goes_from_one_service_to_another_in_one_call(node: Namespace, dataplane: Nftables) -> None:
    """As it does when an older Service asks for it, and back."""
    vip, none = (ip("192.0.2.1"),), ()
    young = [
        frontends("young", "10.96.0.2", ("10.244.0.1:80",), external_ips=external, node_port=port)
        for external, port in ((vip, 30080), (none, 0))
    ]
    old = [
        frontends("old", "10.96.0.1", ("10.244.0.2:80",), external_ips=external, node_port=port)
        for external, port in ((none, 0), (vip, 30080))
    ]
    dataplane.resync(SETTINGS, [young[0], old[0]])
    for before, after in ((0, 1), (1, 0)):
        outcome = dataplane.apply([Change(old[before], old[after]), Change(young[before], young[after])])
        assert not outcome.refused
        owner = "shop/old:http" if after else "shop/young:http"
        assert [line for line in ruleset(node).splitlines() if "192.0.2.1 . tcp" in line or "tcp . 30080" in line] == [
            line for line in ruleset(node).splitlines() if ("192.0.2.1 . tcp" in line or "tcp . 30080" in line) and owner in line
        ]
    assert not dataplane.disturbed()


def test_after_a_restart_addresses_may_belong_to_others(start: Start, dataplane: Nftables) -> None:
    first = [frontends("first", "10.96.0.1", node_port=30080), frontends("first", "10.96.0.1")]
    second = [frontends("second", "10.96.0.2"), frontends("second", "10.96.0.2", node_port=30080)]
    dataplane.resync(SETTINGS, [first[0], second[0]])
    for wanted in ([second[1], first[1]], [first[0], second[0]]):
        restarted = start()
        assert not restarted.resync(SETTINGS, wanted).refused
        assert start().resync(SETTINGS, wanted).operations == 0


@pytest.mark.parametrize(
    ("changed", "chains"),
    [
        pytest.param(replace(SETTINGS, masquerade_all=True), {"services"}, id="masquerade-all"),
        pytest.param(
            replace(SETTINGS, masquerade_bit=15), {"services", "external", "external-local", "nat-postrouting"}, id="masquerade-bit"
        ),
        pytest.param(
            replace(SETTINGS, node_port_addresses=tuple(ANY.values())),
            {"services", "nodeport-endpoints-check"},
            id="all-addresses",
        ),
        pytest.param(replace(SETTINGS, service_cidrs=()), {"cluster-ips-check"}, id="no-service-cidr"),
        pytest.param(
            replace(SETTINGS, local_traffic=LocalTraffic(interface="cni0")), {"services", "external-local"}, id="pods-by-interface"
        ),
        pytest.param(
            replace(SETTINGS, local_traffic=LocalTraffic(interface_prefix="veth")), {"services", "external-local"}, id="pods-by-prefix"
        ),
        pytest.param(
            replace(SETTINGS, local_traffic=LocalTraffic(cidrs=(network("10.244.0.0/20"), network("10.1.0.0/16")))),
            {"services", "external-local"},
            id="pods-by-several-cidrs",
        ),
        pytest.param(replace(SETTINGS, local_traffic=LocalTraffic()), {"services", "external-local"}, id="pods-unknown"),
    ],
)
def test_changed_settings_rewrite_only_the_chains_concerned(
    node: Namespace, dataplane: Nftables, start: Start, changed: Settings, chains: set[str]
) -> None:
    dataplane.resync(SETTINGS, every_kind())
    before = rules(node.run("nft", "-ta", "list", "table", "ip", "proxyconfig"))
    dataplane.resync(changed, every_kind())
    after = rules(node.run("nft", "-ta", "list", "table", "ip", "proxyconfig"))
    assert {chain for chain in after if after[chain] != before[chain]} == chains
    assert start().resync(changed, every_kind()).operations == 0


def test_changed_node_port_addresses_are_elements(node: Namespace, dataplane: Nftables) -> None:
    dataplane.resync(SETTINGS, every_kind())
    outcome = dataplane.resync(
        replace(SETTINGS, node_port_addresses=(ip("192.168.50.1"), ip("192.168.50.9"), ip("127.0.0.1"))), every_kind()
    )
    assert outcome.repaired == "2 elements of nodeport-ips"
    assert "elements = { 192.168.50.1, 192.168.50.9 }" in ruleset(node)


def test_pick_chains_that_are_long_unused_are_taken_out(node: Namespace, dataplane: Nftables, start: Start) -> None:
    counts = [next(iter(many(1, endpoints))) for endpoints in range(1, SPARE_PICKS + 20)]
    ports = [
        replace(port, name=port_name(f"count-{number}"), cluster_ip=ip(f"10.96.{number // 250}.{number % 250}"))
        for number, port in enumerate(counts)
    ]
    dataplane.resync(SETTINGS, ports)
    dataplane.resync(SETTINGS, ports[:3])
    assert {chain for chain in rules(node.run("nft", "-ta", "list", "table", "ip", "proxyconfig")) if chain.startswith("pick-")} == {
        "pick-1",
        "pick-2",
        "pick-3",
    }
    assert start().resync(SETTINGS, ports[:3]).operations == 0
    assert not dataplane.apply([Change(None, ports[100])]).refused
    assert start().resync(SETTINGS, [*ports[:3], ports[100]]).operations == 0


def test_a_table_of_another_layout_is_replaced(node: Namespace, dataplane: Nftables, start: Start) -> None:
    node.run("nft", "-f", "-", stdin="table ip proxyconfig {\n map services { type ipv4_addr : verdict; }\n chain old { }\n}\n")
    dataplane.resync(SETTINGS, every_kind())
    assert "chain old" not in ruleset(node)
    assert start().resync(SETTINGS, every_kind()).operations == 0


def test_changes_before_the_first_resync_are_a_mistake(dataplane: Nftables) -> None:
    with pytest.raises(DataplaneError, match="call resync first"):
        dataplane.apply([])


def test_a_pick_chain_that_lost_its_number_is_numbered_again(node: Namespace, dataplane: Nftables, start: Start) -> None:
    ports = every_kind()
    dataplane.resync(SETTINGS, ports)
    listing = node.run("nft", "list", "map", "ip", "proxyconfig", "picks")
    number = next(line.split("0:")[1].split()[0] for line in listing.replace(",", "\n").splitlines() if "pick-2" in line)
    node.run("nft", "delete", "element", "ip", "proxyconfig", "picks", f"{{ 0:{number} }}")
    assert start().resync(SETTINGS, ports).operations > 0
    assert start().resync(SETTINGS, ports).operations == 0
    assert node.run("nft", "list", "chain", "ip", "proxyconfig", "pick-2").count("dnat") == 1


def test_what_the_guide_shows_is_what_nft_prints(node: Namespace, dataplane: Nftables) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "reading-the-rules.md").read_text().partition("# iptables mode")[0]
    blocks = guide.split("```")[1::2]
    shown = [line for block in blocks for line in block.strip().splitlines() if not line.startswith("#")]
    dataplane.resync(SETTINGS, every_kind())
    listing = ruleset(node)
    assert len(shown) > 5
    assert [line for line in shown if line not in listing] == []
    for name in (
        line.split("|")[1].split("`")[1] for line in guide.splitlines() if line.startswith("| `") and ":" not in line.split("|")[1]
    ):
        assert any(name.replace("N", "2").replace("-T", "-10800") in printed for printed in listing.splitlines()), name
