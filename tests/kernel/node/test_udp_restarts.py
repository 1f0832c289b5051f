"""UDP flows over restarts, repairs, a change of mode, and storms of changes: bounded work, and nothing stale that stays."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernel.node.udp import (
    EXTERNAL_IP,
    NODE_PORT,
    PORT,
    WAYS,
    Cleaned,
    Client,
    Table,
    answered_by,
    clients,
    exposed,
    reach,
    ready,
    served_by,
    service,
)
from tests.kernel.traffic.inprocess import DATAPLANES, Pipeline
from tests.support.netns.peers import Prober
from tests.support.netns.topology import NODE, Topology
from tests.support.scenarios.configs import CONFIGS

from proxyconfig_agent.node.conntrack.stale import Stale
from proxyconfig_agent.sync.result import SyncReason

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(240)]

OURS = ("nftables", "iptables")
NO_LONGER_TRANSLATED = {
    "nftables": [f"nft flush chain {family} proxyconfig nat-prerouting" for family in ("ip", "ip6")],
    "iptables": [f"{program} -t nat -F KUBE-SERVICES" for program in ("iptables", "ip6tables")],
}
"""What an administrator may do."""


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("gone", [False, True], ids=["an endpoint", "a Service"])
def test_an_agent_that_starts_again_ends_what_became_stale_meanwhile_and_nothing_else(world: Topology, kind: str, gone: bool) -> None:
    other = service(ready("near1", "near2"), name="other", clusterIP="10.96.0.201", clusterIPs=["10.96.0.201", "fd00:10:96::c9"])
    Table(world.node).empty()
    with served_by(world, kind) as mode, clients(world, *WAYS) as sending:
        Pipeline(world, Cleaned(world, mode), CONFIGS["default"], kind).apply({**exposed(ready("near1")), **other})
        beside = [Client(world["client"], "10.96.0.201", PORT) for _ in range(50)]
        answers = [client.ask() for client in beside]
        assert len(set(answers)) == 2
        reach(sending, "near1 8080")
        with contextlib.closing(Entered(world.node, DATAPLANES[kind])) as later:
            cleaned = Cleaned(world, later)
            Pipeline(world, cleaned, CONFIGS["default"], kind).apply(other if gone else {**exposed(ready("near2")), **other})
        if not gone:
            reach(sending, "near2 8080")
        assert sum(map(sum, (reasons.values() for reasons in cleaned.told))) == len(sending)
        assert {why for reasons in cleaned.told for why in reasons} == {Stale.SERVICE_GONE if gone else Stale.ENDPOINT_GONE}
        assert [client.ask() for client in beside] == answers
        for client in beside:
            client.close()


@pytest.mark.parametrize("kind", OURS)
def test_rules_that_were_missing_for_a_while_leave_no_flow_untranslated(world: Topology, kind: str) -> None:
    Table(world.node).empty()
    with served_by(world, kind) as mode, clients(world, ("outside", EXTERNAL_IP, PORT), ("outside", NODE, NODE_PORT)) as sending:
        cleaned = Cleaned(world, mode)
        pipeline = Pipeline(world, cleaned, CONFIGS["default"], kind)
        pipeline.apply(exposed(ready("near1")))
        for command in NO_LONGER_TRANSLATED[kind]:
            world.node.run(*command.split())
        for client in sending:
            assert client.ask() in ("refused", "beyond 7777")
        cleaned.told.clear()
        pipeline.runner.resync(SyncReason.DRIFT)
        pipeline.sync()
        reach(sending, "near1 8080")
        assert {why for reasons in cleaned.told for why in reasons} == {Stale.UNTRANSLATED}


@pytest.mark.parametrize("kind", OURS)
def test_a_mode_that_takes_over_ends_what_the_one_before_can_no_longer_end(world: Topology, kind: str) -> None:
    Table(world.node).empty()
    with served_by(world, kind) as mode, clients(world, *WAYS[:1]) as sending:
        cleaned = Cleaned(world, mode)
        Pipeline(world, cleaned, CONFIGS["default"], kind).apply(service(ready("near1")))
        reach(sending, "near1 8080")
        mode.remove()  # no rules tell the next one what there was
        cleaned.told.clear()
        cleaned.serve(mode)
        Pipeline(world, cleaned, CONFIGS["default"], kind).apply({})
        assert [dict(reasons) for reasons in cleaned.told] == [{Stale.SERVICE_GONE: 1}] * 2


@pytest.mark.parametrize("kind", OURS)
def test_hundreds_of_changed_services_cost_one_dump_per_family(world: Topology, kind: str) -> None:
    def many(place: str) -> dict[tuple[str, str, str], dict[str, object]]:
        objects: dict[tuple[str, str, str], dict[str, object]] = {}
        for number in range(300):
            pair = [f"10.96.{2 + number // 250}.{1 + number % 250}", f"fd00:10:96::{0x2000 + number:x}"]
            ports = [{"name": "dns", "protocol": "UDP", "port": 1000 + number}]
            objects |= service(ready(place), name=f"dns-{number}", clusterIP=pair[0], clusterIPs=pair, ports=ports)
        return objects

    with served_by(world, kind) as mode:
        cleaned = Cleaned(world, mode)
        pipeline = Pipeline(world, cleaned, CONFIGS["default"], kind)
        pipeline.apply(many("near1"))
        cleaned.table.dumps.clear()
        pipeline.apply(many("near2"))
        assert cleaned.table.dumps == [None, None]


@pytest.mark.parametrize("kind", OURS)
def test_no_flow_that_begins_during_a_sync_ends_up_at_an_endpoint_that_is_gone(
    world: Topology, probers: Mapping[str, Prober], kind: str
) -> None:
    flow = {"address": WAYS[0][1].v4, "port": PORT, "protocol": "udp", "for_s": 2, "patience_s": 0.05}
    Table(world.node).empty()
    with served_by(world, kind) as mode:
        cleaned = Cleaned(world, mode)
        pipeline = Pipeline(world, cleaned, CONFIGS["default"], kind)
        pipeline.apply(service(ready("near1")))
        began, asked, left = 0, 0, list[int]()
        while began < 3 or asked <= 200 or sum(sum(reasons.values()) for reasons in cleaned.told) <= 100:
            probers["client"].send([flow] * 8)
            began += 1
            ended = time.monotonic() + 1.8
            while time.monotonic() < ended:
                for now, before in (("near2", "near1"), ("near1", "near2")):
                    pipeline.apply(service(ready(now)))
                    left.append(len(answered_by(cleaned.table.all(), before)))
            asked += sum(sum(each.values()) for each in probers["client"].receive())
        assert left == [0] * len(left)
