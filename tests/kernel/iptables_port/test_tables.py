"""What is in the tables of a node, after a start, changes, a restart and a removal; with both back ends."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.kernel.in_namespace import Entered
from tests.kernel.iptables_port.conftest import Node
from tests.kernel.nftables.examples import SETTINGS, every_kind, many, with_other_endpoint
from tests.support.netns.namespace import Namespace
from tests.unit.agent.dataplane.nftables.frontends import ip

from proxyconfig_agent.dataplane.iptables.iptables import Iptables
from proxyconfig_agent.dataplane.iptables.kernel import nfacct
from proxyconfig_agent.dataplane.iptables.tools import binaries
from proxyconfig_agent.dataplane.iptables.tools.binaries import Backend
from proxyconfig_agent.dataplane.modes.family_probe import FamilyProbe
from proxyconfig_agent.dataplane.port import Change, DataplaneError, Settings
from proxyconfig_agent.ingest.model import ANY, Family
from proxyconfig_agent.select.frontends import Frontends

pytestmark = pytest.mark.kernel

FOREIGN = """*nat
:CNI-HOSTPORT - [0:0]
-A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 8000 -j CNI-HOSTPORT
-A CNI-HOSTPORT -p tcp -j DNAT --to-destination 10.0.0.1:80
COMMIT
*filter
:KUBE-FIREWALL - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
:POLICIES - [0:0]
-A INPUT -j KUBE-FIREWALL
-A OUTPUT -j KUBE-FIREWALL
-A FORWARD -s 192.0.2.9/32 -m comment --comment "somebody else's" -j DROP
-A FORWARD -j POLICIES
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment "block incoming localnet connections" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A POLICIES -d 10.0.0.0/8 -m statistic --mode random --probability 0.5 -j ACCEPT
COMMIT
*raw
-A PREROUTING -i lo -j ACCEPT
COMMIT
"""  # noqa: E501 - a rule stands on one line


def other_endpoints(ports: list[Frontends]) -> list[Frontends]:
    return [with_other_endpoint(port, 7) if len(port.cluster) == 12 else replace(port, affinity_s=77) for port in ports]


def test_a_second_sync_and_a_restart_send_nothing(dataplane: Entered, start: Callable[[], Entered]) -> None:
    ports = [*every_kind(), *many(60, 10)]
    assert dataplane.resync(SETTINGS, ports).operations > 60
    assert dataplane.resync(SETTINGS, ports).operations == 0
    assert not dataplane.disturbed()
    restarted = start()
    assert restarted.resync(SETTINGS, ports).operations == 0
    assert not restarted.disturbed()


def test_changes_lead_to_what_a_fresh_start_makes(node: Node, dataplane: Entered, start: Callable[[], Entered]) -> None:
    before = every_kind()
    after = [*other_endpoints(before[2:]), *many(3, 4)]
    dataplane.resync(SETTINGS, before)
    gone = [Change(port, None) for port in before[:2]]
    changed = [Change(old, new) for old, new in zip(before[2:], other_endpoints(before[2:]), strict=True)]
    outcome = dataplane.apply([*gone, *changed, *(Change(None, port) for port in many(3, 4))])
    assert not outcome.refused
    assert not dataplane.disturbed()
    made = node.everything()
    assert start().resync(SETTINGS, after).operations == 0
    dataplane.remove()
    dataplane.resync(SETTINGS, after)
    assert node.everything() == made


def test_an_endpoint_change_writes_its_own_chains_only(dataplane: Entered) -> None:
    ports = list(many(50, 10))
    dataplane.resync(SETTINGS, ports)
    assert dataplane.apply([Change(ports[7], with_other_endpoint(ports[7], 1))]).operations == 3


def test_changed_settings_reach_every_rule(node: Node, dataplane: Entered, start: Callable[[], Entered]) -> None:
    ports = every_kind()
    dataplane.resync(SETTINGS, ports)
    others = replace(SETTINGS, masquerade_bit=15, masquerade_all=True, node_port_addresses=tuple(ANY.values()))
    assert dataplane.resync(others, ports).operations > 0
    made = node.everything()
    assert not [line for line in made if "0x4000/" in line]
    assert start().resync(others, ports).operations == 0
    dataplane.remove()
    dataplane.resync(others, ports)
    assert node.everything() == made


@pytest.fixture
def after_legacy(space: Namespace, start: Callable[[], Entered]) -> Node:
    """An agent has made rules through iptables-legacy, and stopped; then the kubelet went over to iptables-nft."""
    hint = ("-t", "mangle", "-N", "KUBE-IPTABLES-HINT")
    space.run("iptables-legacy", *hint)
    start().resync(SETTINGS, [*every_kind(), *many(20, 10)])
    space.run("iptables-legacy", "-t", "mangle", "-X", "KUBE-IPTABLES-HINT")
    space.run("iptables-nft", *hint)
    space.run("iptables-legacy", "-t", "nat", "-N", "SOMEBODY-ELSE")
    return Node(space, Backend.NFT)


def in_legacy_tables(node: Node) -> set[str]:
    """Our chains there, as far as they have names of kube-proxy's."""
    printed = node.space.run("iptables-legacy-save") + node.space.run("ip6tables-legacy-save")
    return {line.split()[0] for line in printed.splitlines() if line.startswith(":KUBE-")}


def test_rules_of_a_former_back_end_go_after_the_first_sync(after_legacy: Node, start: Callable[[], Entered]) -> None:
    assert len(in_legacy_tables(after_legacy)) > 200
    outcome = start().resync(SETTINGS, every_kind())
    assert outcome.operations > 60
    assert in_legacy_tables(after_legacy) == set()
    assert "SOMEBODY-ELSE" in after_legacy.space.run("iptables-legacy-save")


def test_rules_of_a_former_back_end_are_found_and_removed(after_legacy: Node, start: Callable[[], Entered]) -> None:
    agent = start()
    assert "chain ip nat KUBE-SERVICES" in agent.scan()
    assert "chain ip6 nat KUBE-SERVICES" in agent.scan()
    agent.remove()
    assert agent.scan() == []
    assert in_legacy_tables(after_legacy) == set()


def test_a_removal_leaves_what_others_have_byte_for_byte(node: Node, dataplane: Entered) -> None:
    node.space.run(f"iptables-{node.backend}-restore", "--noflush", stdin=FOREIGN)
    before = node.saved()
    dataplane.resync(SETTINGS, every_kind())
    assert node.saved() != before
    dataplane.remove()
    assert dataplane.scan() == []
    assert node.saved() == before
    # kube-proxy makes the kubelet's chain where there is none, and leaves it as well.
    of_ipv6 = [line for line in node.saved("ip6tables") if "KUBE-" in line]
    assert sorted(of_ipv6) == [
        "-A INPUT -j KUBE-FIREWALL",
        "-A OUTPUT -j KUBE-FIREWALL",
        ":KUBE-FIREWALL - [0:0]",
        ":KUBE-IPTABLES-HINT - [0:0]",
    ]


def test_more_chains_than_an_input_takes_are_removed(dataplane: Entered) -> None:
    ports = [*every_kind(), *many(70, 10)]
    dataplane.resync(SETTINGS, ports)
    assert dataplane.resync(SETTINGS, ports[:5]).operations > 700
    assert dataplane.resync(SETTINGS, ports[:5]).operations == 0
    dataplane.resync(SETTINGS, ports)
    dataplane.remove()
    assert dataplane.scan() == []


def test_what_rules_of_others_lead_to_is_left_to_them_and_told(node: Node, dataplane: Entered) -> None:
    dataplane.resync(SETTINGS, every_kind())
    node.iptables("-t", "nat", "-N", "HOSTPORTS")
    node.iptables("-t", "nat", "-A", "HOSTPORTS", "-s", "10.0.0.1", "-j", "KUBE-MARK-MASQ")
    dataplane.remove()
    assert dataplane.scan() == ["chain ip nat KUBE-MARK-MASQ"]
    node.iptables("-t", "nat", "-F", "HOSTPORTS")
    dataplane.remove()
    assert dataplane.scan() == []


def test_chains_of_services_that_nobody_wants_are_removed_even_if_others_lead_to_them(node: Node, dataplane: Entered) -> None:
    ports = every_kind()
    dataplane.resync(SETTINGS, ports)
    used = next(line.split()[0][1:] for line in node.saved() if line.startswith(":KUBE-SVC-"))
    node.iptables("-t", "nat", "-N", "STRANGE")
    node.iptables("-t", "nat", "-A", "STRANGE", "-j", used)
    assert dataplane.resync(SETTINGS, []).operations > 0
    assert [line for line in node.saved() if "KUBE-SVC-" in line] == [f":{used} - [0:0]", f"-A STRANGE -j {used}"]
    assert dataplane.resync(SETTINGS, []).operations == 0
    node.iptables("-t", "nat", "-F", "STRANGE")


def test_a_large_cluster_has_no_comments_at_endpoints_and_its_chains_are_adopted(
    node: Node, dataplane: Entered, start: Callable[[], Entered]
) -> None:
    ports = list(many(101, 10))
    dataplane.resync(SETTINGS, ports[:50])
    dataplane.apply([Change(None, port) for port in ports[50:]])
    outcome = dataplane.apply([Change(ports[0], with_other_endpoint(ports[0], 1))])
    assert outcome.operations == 3
    commented = [line for line in node.saved() if line.startswith("-A KUBE-SEP-") and "--comment" in line]
    assert len(commented) == 2 * (1010 - 1)
    assert start().resync(SETTINGS, [with_other_endpoint(ports[0], 1), *ports[1:]]).operations == 0


@pytest.mark.parametrize(
    ("commands", "chosen"),
    [
        pytest.param([], "nft", id="nothing"),
        pytest.param([("iptables-nft", "-t", "mangle", "-N", "KUBE-KUBELET-CANARY")], "nft", id="kubelet-nft"),
        pytest.param([("ip6tables-legacy", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT")], "legacy", id="kubelet-legacy-ipv6"),
        pytest.param(
            [("iptables-nft", "-A", "INPUT", "-j", "ACCEPT"), ("iptables-legacy", "-t", "mangle", "-N", "KUBE-KUBELET-CANARY")],
            "legacy",
            id="kubelet-counts-more-than-rules",
        ),
        pytest.param([("iptables-legacy", "-A", "INPUT", "-j", "ACCEPT")], "legacy", id="more-rules"),
        pytest.param(
            [("iptables-legacy", "-A", "INPUT", "-j", "ACCEPT"), ("iptables-nft", "-A", "INPUT", "-j", "ACCEPT")], "nft", id="as-many-rules"
        ),
    ],
)
def test_the_back_end_is_the_one_that_the_node_uses(space: Namespace, commands: list[tuple[str, ...]], chosen: str) -> None:
    for command in commands:
        space.run(*command)
    assert space.call(binaries.choose) == chosen


def test_a_node_without_iptables_is_told_what_to_install(space: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DataplaneError, match="iptables is not installed; install the package iptables, or choose another mode"):
        space.call(Iptables().probe)


def test_a_family_whose_program_comes_later_is_served_from_the_next_full_sync_on(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.environ["PATH"]
    for program in ("iptables", "iptables-restore", "iptables-save"):
        for name in (program, program.replace("iptables", f"iptables-{node.backend}")):
            (tmp_path / name).symlink_to(shutil.which(program.replace("iptables", f"iptables-{node.backend}")) or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    made = FamilyProbe(node.space.call(Iptables))
    try:
        assert set(node.space.call(made.probe).unserved) == {Family.IPV6}
        assert node.space.call(lambda: made.resync(Settings(), [])).probed is not None
        monkeypatch.setenv("PATH", path)
        found = node.space.call(lambda: made.resync(Settings(), [])).probed
        assert found is not None
        assert found.unserved == {}
        assert "KUBE-SERVICES" in "".join(node.saved("ip6tables"))
        assert node.space.call(lambda: made.resync(Settings(), [])).probed is None
    finally:
        monkeypatch.setenv("PATH", path)
        node.space.call(made.remove)
        made.close()


def test_the_counters_of_kube_proxy_are_made_and_taken_away(dataplane: Entered, space: Namespace) -> None:
    assert [space.call(nfacct.ensure) for _ in range(2)] == [True, True]
    dataplane.remove()
    assert space.call(nfacct.ensure)


def test_what_the_node_can_do_is_told(dataplane: Entered, node: Node) -> None:
    found = dataplane.probe().features
    assert found["iptables"].endswith(f"({node.backend})")
    assert found["IPv4"] == found["IPv6"] == found["recent"] == "available"


def test_the_first_sync_has_to_come_first(dataplane: Entered) -> None:
    with pytest.raises(DataplaneError, match="call resync first"):
        dataplane.apply([Change(None, every_kind()[0])])


def test_two_external_addresses_of_one_service_keep_their_rules_apart(dataplane: Entered, start: Callable[[], Entered]) -> None:
    port = replace(every_kind()[0], external_ips=(ip("192.0.2.1"), ip("192.0.2.2")))
    dataplane.resync(SETTINGS, [port])
    fewer = replace(port, external_ips=(ip("192.0.2.2"),))
    dataplane.apply([Change(port, fewer)])
    assert start().resync(SETTINGS, [fewer]).operations == 0


def test_what_the_guide_shows_is_what_iptables_prints(node: Node, dataplane: Entered) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "reading-the-rules.md").read_text().partition("\n# iptables mode\n")[2]
    shown = [line for block in guide.split("```")[1::2] for line in block.strip().splitlines() if not line.startswith("#")]
    dataplane.resync(SETTINGS, every_kind())
    printed = node.saved()

    assert len(shown) == 5
    assert [line for line in shown if line not in printed] == []
    chains = {name for line in guide.splitlines() if line.startswith("| `KUBE") for name in line.split("|")[1].split("`")[1::2]}
    assert {name for name in chains if not any(name.rstrip("…") in line for line in printed)} == set()


def test_the_kubelets_chain_goes_with_the_mode_where_no_kubelet_made_it(space: Namespace, start: Callable[[], Entered]) -> None:
    dataplane = start()
    dataplane.resync(SETTINGS, every_kind())
    assert "-A INPUT -j KUBE-FIREWALL" in space.run("iptables-save")
    dataplane.remove()
    assert dataplane.scan() == []
    assert "KUBE-" not in space.run("iptables-save") + space.run("ip6tables-save")


def test_the_chain_of_a_kubelet_stays(node: Node, dataplane: Entered) -> None:
    dataplane.resync(SETTINGS, every_kind())
    dataplane.remove()
    assert dataplane.scan() == []
    assert {":KUBE-FIREWALL - [0:0]", "-A INPUT -j KUBE-FIREWALL", "-A OUTPUT -j KUBE-FIREWALL"} <= set(node.everything())
