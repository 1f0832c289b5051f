"""What the controller does next, for each state that it can be in."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.unit.agent.examples import NODE, ip

from proxyconfig_agent.checks.shadow.observer import Observed
from proxyconfig_agent.controller.stance import Stance
from proxyconfig_agent.controller.step import (
    Commit,
    Discard,
    GiveBack,
    Inputs,
    Plan,
    Prepare,
    Probe,
    Reconfigure,
    Remove,
    Report,
    Run,
    Stand,
    Step,
    Wait,
    next_step,
)
from proxyconfig_agent.ingest.model import Address, Family, Network, NodeName
from proxyconfig_agent.node.addresses.local_address import LocalAddress
from proxyconfig_agent.node.other_proxies.arrival import Arrival, Stage
from proxyconfig_agent.node.other_proxies.other_proxies import Seen
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_api.objects.nodeproxy import ModeStatus, NodeProxyStatus
from proxyconfig_api.spec.sections import Masquerade, Mode, ProxyConfigSpec, Sync, Takeover

NFTABLES = Desired(ProxyConfigSpec(mode=Mode.NFTABLES), 1, "x-1", uid="u")
IPTABLES = Desired(ProxyConfigSpec(mode=Mode.IPTABLES), 2, "x-2", uid="u")
REMOVE = replace(NFTABLES, generation=3, remove=True)
ADOPTING = replace(NFTABLES, spec=ProxyConfigSpec(mode=Mode.NFTABLES, takeover=Takeover.ADOPT))
OBSERVING = replace(NFTABLES, spec=ProxyConfigSpec(mode=Mode.NFTABLES, takeover=Takeover.OBSERVE))
WAITING = Stand(NFTABLES, Stance.WAIT)
NOTHING = Inputs(node=NODE)
ORDERED = replace(NOTHING, desired=NFTABLES)
PREPARED = replace(ORDERED, prepared=Prepare(NFTABLES.spec, alone=False))
ACTIVE = replace(PREPARED, active_mode=Mode.NFTABLES)
READY = replace(ACTIVE, caches_ready=True, local=())


def plan(inputs: Inputs) -> Plan:
    step = next_step(replace(inputs, running=None))
    assert isinstance(step, Run)
    return step.plan


COMPARING = Stand(OBSERVING, Stance.OBSERVE, Observed(plan(READY).settings, ()))
RUNNING = replace(READY, running=plan(READY))
ALONE = replace(RUNNING, alone=True)
OTHER_MODE = replace(RUNNING, desired=IPTABLES, prepared=Prepare(IPTABLES.spec, alone=False))
REMOVING = replace(RUNNING, desired=REMOVE)
LEFT = Seen(tables=("ip kube-proxy",))
BEHIND = replace(RUNNING, left=LEFT, settled=True)

GIVING = replace(NFTABLES, give_back=True)
AWAY, SERVING = Arrival(), Arrival(Stage.SERVING, "nftables")
STARTING, CHAINS = Arrival(Stage.STARTING, "nftables", (Family.IPV4,)), Arrival(chains=True)
EXPECTING = replace(READY, desired=GIVING, arrival=AWAY, serves=True)
GIVEN = replace(EXPECTING, running=plan(EXPECTING))
LAST = replace(GIVEN, arrival=SERVING)
ALONE_GIVEN = replace(GIVEN, alone=True, prepared=Prepare(GIVING.spec, alone=True))
IN_CHAINS = replace(GIVEN, active_mode=Mode.IPTABLES, arrival=CHAINS)
STAYING = replace(GIVING, spec=ProxyConfigSpec(mode=Mode.USERSPACE))

AUTO = Desired(ProxyConfigSpec(mode=Mode.AUTO), 5, "x-5", uid="u")
AUTO_PREPARED = Prepare(AUTO.spec, alone=False)
AS_IPTABLES = AUTO.spec.as_mode(Mode.IPTABLES)
CHOOSING = replace(READY, desired=AUTO, active_mode=None, prepared=None)
CHOSEN = replace(CHOOSING, active_mode=Mode.IPTABLES, chosen_for=AUTO.spec)
AUTO_READY = replace(CHOSEN, prepared=Prepare(AS_IPTABLES, alone=False))


@pytest.mark.parametrize(
    ("inputs", "step"),
    [
        pytest.param(NOTHING, Wait(), id="no order"),
        pytest.param(replace(READY, desired=None), Wait(), id="no order, though all else is known"),
        pytest.param(ORDERED, Prepare(NFTABLES.spec, alone=False), id="an order prepares the node first"),
        pytest.param(replace(ORDERED, other_runs=None), Wait(), id="nothing before the node was looked at for another proxy"),
        pytest.param(replace(ORDERED, other_runs=True), WAITING, id="nothing is changed beside another proxy"),
        pytest.param(replace(ORDERED, other_runs=True, stands=WAITING), Wait(), id="it is reported once"),
        pytest.param(replace(ORDERED, other_runs=False, stands=WAITING), Prepare(NFTABLES.spec, alone=False), id="on when it has ended"),
        pytest.param(replace(ORDERED, desired=ADOPTING, other_runs=True), Prepare(ADOPTING.spec, alone=False), id="or if it is adopted"),
        pytest.param(replace(ORDERED, desired=OBSERVING), Stand(OBSERVING, Stance.OBSERVE), id="nothing is changed by an observer"),
        pytest.param(replace(READY, desired=OBSERVING), COMPARING, id="and compared when the cluster is known"),
        pytest.param(replace(RUNNING, desired=OBSERVING, serves=True), Prepare(OBSERVING.spec, alone=False), id="but what serves goes on"),
        pytest.param(replace(RUNNING, other_runs=True, serves=True), Wait(), id="also beside another proxy that starts"),
        pytest.param(replace(ORDERED, desired=REMOVE, other_runs=True), Remove(REMOVE), id="a removal waits for nobody"),
        pytest.param(PREPARED, Probe(NFTABLES.spec), id="then the mode is probed"),
        pytest.param(replace(PREPARED, retry_waits=True, failed_for=NFTABLES.spec), Wait(), id="not again before it is time"),
        pytest.param(replace(PREPARED, failed_for=NFTABLES.spec), Probe(NFTABLES.spec), id="again when it is time"),
        pytest.param(ACTIVE, Wait(), id="nothing is programmed before caches and addresses are known"),
        pytest.param(replace(ACTIVE, local=()), Wait(), id="nor before the caches have synced"),
        pytest.param(replace(ACTIVE, caches_ready=True), Wait(), id="nor before the addresses were read"),
        pytest.param(READY, Run(plan(READY)), id="then it is programmed"),
        pytest.param(RUNNING, Wait(), id="what runs goes on"),
        pytest.param(replace(RUNNING, retry_waits=True), Wait(), id="a timer of earlier changes nothing"),
        pytest.param(ALONE, Prepare(NFTABLES.spec, alone=True), id="what only other modes needed goes when they are gone"),
        pytest.param(replace(ALONE, prepared=Prepare(NFTABLES.spec, alone=True)), Wait(), id="once"),
        pytest.param(replace(ALONE, desired=IPTABLES), Prepare(IPTABLES.spec, alone=False), id="another spec prepares the node"),
        pytest.param(OTHER_MODE, Probe(IPTABLES.spec), id="another mode is probed beside the one that runs"),
        pytest.param(replace(OTHER_MODE, retry_waits=True, failed_for=IPTABLES.spec), Wait(), id="one that fails leaves the other running"),
        pytest.param(replace(RUNNING, failed_for=IPTABLES.spec), Reconfigure(plan(READY)), id="back to what runs takes the failure back"),
        pytest.param(REMOVING, Remove(REMOVE), id="a removal needs no mode, no caches and no preparation"),
        pytest.param(replace(NOTHING, desired=REMOVE), Remove(REMOVE), id="nor a start"),
        pytest.param(replace(REMOVING, retry_waits=True), Wait(), id="one that failed waits for its time"),
        pytest.param(replace(REMOVING, removed=REMOVE), Wait(), id="once is enough"),
        pytest.param(replace(REMOVING, removed=replace(REMOVE, uid="v")), Remove(REMOVE), id="but for each NodeProxy"),
        pytest.param(replace(RUNNING, over=True, unreported=NFTABLES), Commit(), id="what was kept for the way back goes first"),
        pytest.param(replace(RUNNING, unreported=NFTABLES), Report(NFTABLES), id="then the status says so"),
        pytest.param(replace(OTHER_MODE, over=True), Commit(), id="a change ends before the next one begins"),
        pytest.param(BEHIND, Discard(LEFT), id="at last what another proxy left goes"),
        pytest.param(replace(BEHIND, settled=False), Wait(), id="not while a change is held"),
        pytest.param(replace(BEHIND, unreported=NFTABLES), Report(NFTABLES), id="nor before the status is right"),
        pytest.param(replace(BEHIND, over=True), Commit(), id="nor before the mode before has gone"),
        pytest.param(replace(BEHIND, running=None), Run(plan(READY)), id="nor before the node is programmed"),
        pytest.param(replace(BEHIND, left=Seen(link=True)), Wait(), id="nothing where nothing can be removed"),
        pytest.param(replace(BEHIND, desired=REMOVE), Remove(REMOVE), id="a removal takes away nothing of another proxy"),
        pytest.param(replace(GIVEN, running=plan(READY)), Reconfigure(plan(EXPECTING)), id="a node that is given back goes on"),
        pytest.param(GIVEN, Wait(), id="until kube-proxy is there"),
        pytest.param(replace(GIVEN, arrival=None), Wait(), id="and was looked for"),
        pytest.param(EXPECTING, Run(plan(EXPECTING)), id="a restarted agent serves it again"),
        pytest.param(replace(EXPECTING, arrival=None), Wait(), id="but not before it has looked for kube-proxy"),
        pytest.param(replace(EXPECTING, arrival=SERVING), GiveBack(GIVING, SERVING), id="as that may serve already"),
        pytest.param(LAST, GiveBack(GIVING, SERVING), id="it leaves the node to one that serves"),
        pytest.param(replace(LAST, retry_waits=True), Wait(), id="what has failed waits for its time"),
        pytest.param(replace(LAST, removed=GIVING), Wait(), id="a node is given back once"),
        pytest.param(IN_CHAINS, Probe(GIVING.spec), id="from chains with kube-proxy's names it goes over to rules of other names"),
        pytest.param(replace(IN_CHAINS, active_mode=Mode.NFTABLES), Wait(), id="and then waits as any other"),
        pytest.param(replace(GIVEN, unreported=GIVING), Wait(), id="kube-proxy may not come while another mode has anything on the node"),
        pytest.param(replace(ALONE_GIVEN, unreported=GIVING), Report(GIVING), id="and may when none has"),
        pytest.param(replace(IN_CHAINS, failed_for=IPTABLES.spec), Probe(GIVING.spec), id="whatever it could not do before"),
        pytest.param(replace(IN_CHAINS, failed_for=GIVING.spec), GiveBack(GIVING, CHAINS), id="where it cannot, it waits for nobody"),
        pytest.param(replace(IN_CHAINS, failed_for=GIVING.spec, arrival=AWAY), Probe(GIVING.spec), id="unless its rules have other names"),
        pytest.param(replace(IN_CHAINS, desired=STAYING), GiveBack(STAYING, CHAINS), id="nor where the mode is to stay"),
        pytest.param(replace(GIVEN, left=LEFT, settled=True), Wait(), id="and nothing of kube-proxy's is removed meanwhile"),
        pytest.param(
            replace(EXPECTING, desired=replace(OBSERVING, give_back=True), serves=False),
            GiveBack(replace(OBSERVING, give_back=True), AWAY),
            id="a node that only compares has nothing to give",
        ),
        pytest.param(CHOOSING, Probe(AUTO.spec), id="auto chooses a mode first"),
        pytest.param(replace(CHOOSING, retry_waits=True, failed_for=AUTO.spec), AUTO_PREPARED, id="without one the node is prepared"),
        pytest.param(
            replace(CHOOSING, prepared=AUTO_PREPARED, failed_for=AUTO.spec), Probe(AUTO.spec), id="and auto chooses again in time"
        ),
        pytest.param(CHOSEN, Prepare(AS_IPTABLES, alone=False), id="the node is prepared for the mode that was chosen"),
        pytest.param(
            replace(CHOSEN, desired=replace(AUTO, generation=6)),
            Prepare(AS_IPTABLES, alone=False),
            id="a choice is for a spec",
        ),
        pytest.param(replace(AUTO_READY, chosen_for=None), Probe(AUTO.spec), id="a mode of earlier is prepared, and there is a choice"),
        pytest.param(AUTO_READY, Run(plan(AUTO_READY)), id="then it is programmed as that mode"),
    ],
)
def test_the_next_step(inputs: Inputs, step: Step) -> None:
    assert next_step(inputs) == step


ADDRESS = Address(bytes((192, 0, 2, 1)))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"desired": replace(NFTABLES, generation=7)}, id="generation"),
        pytest.param({"desired": replace(NFTABLES, uid="v")}, id="another NodeProxy"),
        pytest.param({"node": replace(NODE, addresses=(ADDRESS,))}, id="addresses of the Node"),
        pytest.param({"service_cidrs": (Network(Address(bytes((10, 96, 0, 0))), 16),)}, id="ServiceCIDRs"),
        pytest.param({"unserved": {Family.IPV6: "CONFIG_NFT_FIB_IPV6"}}, id="a family that cannot be served"),
    ],
)
def test_what_a_plan_depends_on_reconfigures_the_runner(change: dict[str, Any]) -> None:
    step = next_step(replace(RUNNING, **change))
    assert isinstance(step, Reconfigure)
    assert next_step(replace(RUNNING, **change, running=step.plan)) == Wait()


@pytest.mark.parametrize(
    "spec",
    [ProxyConfigSpec(masquerade=Masquerade(all=True)), ProxyConfigSpec(sync=Sync(min_sync_period=NFTABLES.spec.sync.full_sync_period))],
)
def test_another_spec_of_the_same_mode_reconfigures_the_runner(spec: ProxyConfigSpec) -> None:
    desired = Desired(spec, 4, "x-4", uid="u")
    step = next_step(replace(RUNNING, desired=desired, prepared=Prepare(spec, alone=False)))
    assert isinstance(step, Reconfigure)
    assert step.plan.desired == desired


def test_what_the_nodeproxy_says_of_its_status_is_no_new_order() -> None:
    assert next_step(replace(RUNNING, desired=replace(NFTABLES, reported=NodeProxyStatus(mode=ModeStatus(effective="nftables"))))) == Wait()


def test_a_change_of_the_nodes_zone_alone_is_none_of_the_runners() -> None:
    assert next_step(replace(RUNNING, node=replace(NODE, zone="b", name=NodeName("here")))) == Wait()


def test_a_local_address_that_serves_nothing_changes_no_plan() -> None:
    assert next_step(replace(RUNNING, local=(LocalAddress(Address(bytes((127, 0, 0, 1))), 8, 1),))) == Wait()


def test_health_check_node_ports_are_left_to_a_kube_proxy_that_starts() -> None:
    node, local = replace(NODE, addresses=(ip("192.0.2.1"),)), (LocalAddress(ip("192.0.2.1"), 24, 2),)
    before = replace(EXPECTING, node=node, local=local)
    assert plan(before).listen_on
    step = next_step(replace(before, running=plan(before), arrival=STARTING))
    assert isinstance(step, Reconfigure)
    assert step.plan.listen_on == ()
