"""iptables mode's chains with the proxy process as the only endpoint."""

from __future__ import annotations

from typing import Any

from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.combined.redirection import TO_PROCESS, redirected
from proxyconfig_agent.dataplane.iptables.model.ruleset import Features
from proxyconfig_agent.dataplane.iptables.tools.probe import features
from proxyconfig_agent.dataplane.port import Settings
from proxyconfig_agent.dataplane.userspace.model.entrances import Entrance, Entrances
from proxyconfig_agent.ingest.model import Family, Policy, Protocol

NEAR, FAR = "10.244.0.1:8080", "10.244.1.1:8080"
ENTRANCES = Entrances(
    {Entrance(family, Protocol.TCP, local): 40001 if local else 40000 for family in Family for local in (False, True)},
    (ip("192.168.50.1"), ip("fd00:50::1")),
)


def rules(*ports: str, **fields: Any) -> list[str]:
    port = redirected(frontends(cluster=ports, **fields), ENTRANCES)
    made = TO_PROCESS.lower(port, Settings(), Features(), large=False)
    return [*(rule for _, rule in made.shared), *(rule for own in made.own.values() for rule in own)]


def test_the_process_is_the_only_endpoint_of_each_list() -> None:
    targets = [
        rule.rpartition(" ")[2] for rule in rules(NEAR, FAR, local=(NEAR,), external_policy=Policy.LOCAL, node_port=30005) if "DNAT" in rule
    ]
    assert targets == ["192.168.50.1:40000", "192.168.50.1:40001"]


def test_other_endpoints_and_affinity_are_the_same_to_the_rules() -> None:
    assert rules(NEAR) == rules(NEAR, FAR, affinity_s=10)


def test_the_processs_own_connections_are_left_alone() -> None:
    port = redirected(frontends(cluster=(NEAR,)), ENTRANCES)
    (chain,) = (own for name, own in TO_PROCESS.lower(port, Settings(), Features(), large=False).own.items() if "SEP" in name)
    assert chain[0] == "-m mark --mark 0x00004000/0x00004000 -j RETURN"


def test_no_rule_needs_an_extension_that_is_not_asked_for() -> None:
    made = [TO_PROCESS.fixed(Settings(localhost_node_ports=True), family, Features()) for family in Family]
    text = " ".join(rule for fixed in made for chains in (fixed.chains, fixed.last) for some in chains.values() for rule in some)
    text += " ".join(rules(NEAR, FAR, affinity_s=10, node_port=30000))
    for unneeded in ("-m statistic", "-m recent", "-j MASQUERADE", "-j MARK", "-m sctp"):
        assert unneeded not in text
    assert features(Family.IPV4).keys() > TO_PROCESS.unneeded


def test_a_protocol_that_the_process_does_not_have_is_refused() -> None:
    refused = rules(NEAR, protocol=Protocol.SCTP)
    assert len(refused) == 1
    assert refused[0].endswith("-j REJECT")


def test_nodeports_on_localhost_are_those_of_both_families() -> None:
    for family in Family:
        (last,) = TO_PROCESS.fixed(Settings(localhost_node_ports=True), family, Features()).last.values()
        assert "! -d" not in last[0]
