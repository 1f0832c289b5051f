"""Processes of the product are killed, not their pods: nothing is lost, and who comes after goes on where they were."""

from __future__ import annotations

import json

import pytest
from tests.cluster import deploy
from tests.e2e.containers import await_restart, kill
from tests.e2e.installed import Installed
from tests.e2e.reader import Object
from tests.e2e.web import Web, on_node
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

LEASE = "proxyconfig-operator"


def test_an_agent_that_is_killed_leaves_its_rules_and_the_next_one_adopts_them(served: Web, everywhere: Installed) -> None:
    agent = everywhere.agents()[0]
    number = next(place for place, node in enumerate(served.local.nodes) if node.name == agent["spec"]["nodeName"])
    eventually(lambda: served.answered_by(3, served.outside(number)), within_s=180, every_s=0.5)
    before = _rules(served, number)
    with served.under_traffic(seconds=12):
        kill(served.local, agent)
        assert _rules(served, number) == before
        await_restart(everywhere, agent)
        everywhere.ready()
    assert _rules(served, number) == before
    assert eventually(lambda: _syncs(everywhere, agent), within_s=60, every_s=0.5)[0]["operations"] == 0


def _rules(served: Web, node: int) -> list[str]:
    """Our rules with their handles: one that was written again has another."""
    tables = (on_node(served.local, node, "nft", "-a", "list", "table", family, "proxyconfig") for family in ("ip", "ip6"))
    return sorted(line for table in tables for line in table.splitlines())


def _syncs(product: Installed, agent: Object) -> list[Object]:
    log = product.kubectl("-n", deploy.NAMESPACE, "logs", agent["metadata"]["name"])
    lines = (json.loads(line) for line in log.splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == "synced"]


def test_the_leading_operator_is_killed_in_a_rollout_and_another_one_finishes_it(served: Web, everywhere: Installed) -> None:
    leader = _leader(everywhere)
    try:
        everywhere.patch({"conntrack": {"udpStreamTimeout": "155s"}})
        kill(served.local, everywhere.get("pods", leader.partition("_")[0], deploy.NAMESPACE))
        everywhere.eventually(everywhere.config, lambda found: found["spec"]["conntrack"]["udpStreamTimeout"] == "155s")
        everywhere.ready(within_s=120)
        for node in range(len(served.local.nodes)):
            assert on_node(served.local, node, "cat", "/proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream").strip() == "155"
        everywhere.patch({"conntrack": {"udpStreamTimeout": "166s"}})
        everywhere.ready(within_s=120)
        assert _leader(everywhere) != leader
    finally:
        everywhere.patch({"conntrack": {"udpStreamTimeout": None}})


def _leader(product: Installed) -> str:
    return str(product.get("leases", LEASE, deploy.NAMESPACE)["spec"]["holderIdentity"])
