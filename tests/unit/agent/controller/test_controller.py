"""The controller as a whole, on a data plane that keeps state and can fail: orders, modes, removals, and what it reports."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.support import virtualtime
from tests.support.polling import soon
from tests.unit.agent.dataplane.fakedataplane import FakeDataplane
from tests.unit.agent.examples import NODE, service

from proxyconfig_agent.checks.probes.model import Absent, Answer, Target
from proxyconfig_agent.checks.probes.signals import Signals
from proxyconfig_agent.controller.change.change import Change, Phase
from proxyconfig_agent.controller.change.change_record import ChangeRecord
from proxyconfig_agent.controller.change.transaction import Observation
from proxyconfig_agent.controller.controller import NodeController
from proxyconfig_agent.controller.inputs.neighbour import LOOK_S, WAITING_S
from proxyconfig_agent.controller.inputs.other_proxy import OtherProxy
from proxyconfig_agent.controller.retry import RETRY_S
from proxyconfig_agent.dataplane.modes.departure import Departure
from proxyconfig_agent.dataplane.modes.family_probe import FamilyProbe
from proxyconfig_agent.dataplane.modes.takeover import Takeover
from proxyconfig_agent.dataplane.port import DataplaneError, Installed
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node.host import Host
from proxyconfig_agent.node.modules.module_states import Modules
from proxyconfig_agent.node.modules.modules import ESSENTIAL
from proxyconfig_agent.node.other_proxies.arrival import Running as KubeProxy
from proxyconfig_agent.node.other_proxies.other_proxies import Seen
from proxyconfig_agent.node.sysctls.procsys import Ledger
from proxyconfig_agent.report.healthcheck.ports import HealthPorts
from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_agent.report.recorder import StatusRecorder
from proxyconfig_agent.report.status.nodeproxy import Reporter
from proxyconfig_agent.report.watches import Watches
from proxyconfig_agent.state.checkpoint import CheckpointFile
from proxyconfig_agent.state.checkpoint_loader import Checkpointer
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.findings import Finding
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_agent.watch.informers import Informers
from proxyconfig_api.objects.nodeproxy import ModeStatus, NodeChange, NodeProxyStatus, ProbePod
from proxyconfig_api.spec.rollout import OnFailure
from proxyconfig_api.spec.sections import Masquerade, Mode, ProxyConfigSpec
from proxyconfig_api.spec.sections import Takeover as Policy
from proxyconfig_api.status.conditions import condition
from proxyconfig_api.status.rollout import ChangePhase, ChangeStatus, ProbeResult
from proxyconfig_api.values.duration import Duration
from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.process.clock import Clock

AUTO = Desired(ProxyConfigSpec(mode=Mode.AUTO), 1, "x-1", uid="u")
FIRST = Desired(ProxyConfigSpec(mode=Mode.NFTABLES), 1, "x-1", uid="u")
IPVS = Desired(ProxyConfigSpec(mode=Mode.IPVS), 2, "x-2", uid="u")
IPTABLES = Desired(ProxyConfigSpec(mode=Mode.IPTABLES), 3, "x-3", uid="u")
MASQUERADING = Desired(ProxyConfigSpec(mode=Mode.NFTABLES, masquerade=Masquerade(all=True)), 2, "x-2", uid="u")
MODULES = Modules("6.1.0", loaded=frozenset(ESSENTIAL), built_in=None)
REMOVE = replace(FIRST, generation=4, remove=True)


class Parameters:
    """Sysctls in memory; each is 0 until it is written."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def read(self, name: str) -> str:
        return self.values.get(name, "0")

    def write(self, name: str, value: str) -> None:
        self.values[name] = value


class Orders:
    """A source of orders that a test gives."""

    def __init__(self, give: Callable[[Desired], None]) -> None:
        self.give = give

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()


class Node:
    """A node with a data plane per mode, but for ipvs; and the statuses that were written."""

    def __init__(self, folder: Path, clock: Clock, record: Callable[[], ChangeRecord] | None = None, **options: float) -> None:
        self.cluster = ClusterState(NODE)
        self.cluster.put_service(service())
        self.planes = {Mode.NFTABLES: FakeDataplane(**options), Mode.IPTABLES: FakeDataplane(**options)}  # type: ignore[arg-type]
        self.probed: list[Mode] = []
        self.fails: dict[str, frozenset[Mode]] = {}
        """Names of probes, and the modes in which they fail."""
        self.fails_in_pod: dict[str, frozenset[Mode]] = {}
        """The same for what a pod asks."""
        self.statuses: list[NodeProxyStatus] = []
        self.other_proxy, self.running = Seen(), KubeProxy()
        self.port_is_left: list[bool] = []
        """Each time that it was told so, whether the metrics' port is to be left to a kube-proxy."""
        self.irremovable = ""
        """Why rules of another proxy cannot be removed."""
        self.health, metrics = Health(clock), Metrics("1", "")
        self.health.node(known=True, deleted=False)
        self.recorder = StatusRecorder(self.cluster, metrics, self.health, "1", clock)
        self.checkpoint = CheckpointFile(folder, "here")
        self.informers = Informers(ApiClient(ClientConfig(server="http://127.0.0.1:1"), user_agent="test"), self.cluster)
        self.watches = Watches(clock.monotonic, metrics.watch_connected)
        self.watches.follow(*self.informers.reflectors)
        self.controller = NodeController(
            self.informers,
            self.cluster,
            Programmed(),
            self.recorder,
            Host(Parameters(), Ledger(folder), lambda: MODULES),
            sources=self._source,
            modes=self._installed,
            reporters=lambda before: Reporter(self._write, clock, before),
            health_ports=HealthPorts(self.health.serves, self.recorder.unopened),
            watches=self.watches,
            observation=Observation(
                record() if record else ChangeRecord(folder), self._ask, self._ask_pod, Signals(dict, clock.monotonic), clock
            ),
            other_proxy=OtherProxy(
                look=lambda: self.other_proxy,
                remove=self._without,
                running=lambda: self.running,
                has_chains=lambda: bool(self.planes[Mode.IPTABLES].state),
                leave_port=self.port_is_left.append,
            ),
            depart=self._departure,
            checkpointer=Checkpointer(self.checkpoint, self.cluster),
        )

    def order(self, desired: Desired) -> None:
        self._orders.give(desired)

    def says(self, reason: str) -> bool:
        """Whether the newest status has this reason for being, or not being, programmed."""
        programmed = condition(self.statuses[-1].conditions, "Programmed") if self.statuses else None
        return programmed is not None and programmed.reason == reason

    def words(self) -> str:
        """Of the condition in the newest status that says whether the node is programmed."""
        programmed = condition(self.statuses[-1].conditions, "Programmed")
        return programmed.message if programmed is not None else ""

    def says_of_another_proxy(self) -> str:
        """The reason of the condition in the newest status."""
        other = condition(self.statuses[-1].conditions, "OtherProxyPresent") if self.statuses else None
        return other.reason if other is not None else ""

    def list_everything(self) -> None:
        """The API server answers all lists."""
        for reflector in (self.informers.services, self.informers.slices, self.informers.node, self.informers.cidrs):
            reflector.synced.set()

    def _source(self, give: Callable[[Desired], None], _: Callable[[Finding | None], None]) -> Orders:
        self._orders = Orders(give)
        return self._orders

    def _installed(self, mode: Mode) -> Installed:
        made = FamilyProbe(self._mode(mode))
        takeover = Takeover(made, lambda: (plane for of, plane in self.planes.items() if of is not mode))
        return Installed(takeover, made, takeover)

    def _departure(self, *, chains_stay: bool) -> Departure:
        return Departure(plane for mode, plane in self.planes.items() if not (chains_stay and mode is Mode.IPTABLES))

    def _without(self, left: Seen) -> list[str]:
        assert not self.other_proxy.mode, "rules of a kube-proxy that runs"
        if self.irremovable:
            raise DataplaneError(self.irremovable)
        tables = tuple(table for table in self.other_proxy.tables if table not in left.tables)
        chains = tuple(table for table in self.other_proxy.canaries if table not in left.canaries)
        self.other_proxy = replace(self.other_proxy, tables=tables, canaries=chains)
        return []

    def _mode(self, mode: Mode) -> FakeDataplane:
        self.probed.append(mode)
        if mode not in self.planes:
            raise DataplaneError(f"the kernel lacks {mode.value}")
        return self.planes[mode]

    async def _ask(self, targets: tuple[Target | Absent, ...], timeout_s: float) -> tuple[Answer, ...]:
        """What the data path answers: each probe as its name says in `fails`, and by the mode that is armed. One that fails is silent."""
        names = dict.fromkeys(each.name for each in targets)
        answers = tuple(self._answer(name, self.fails) for name in (*names, *(name for name in self.fails if name not in names)))
        if any(each.result is ProbeResult.FAILED for each in answers):
            await asyncio.sleep(timeout_s)
        return answers

    async def _ask_pod(self, pod: ProbePod, _: tuple[Target | Absent, ...], _timeout_s: float, *, before: bool) -> tuple[Answer, ...]:
        if not pod.addresses:
            return (Answer("pod", ProbeResult.NOT_APPLICABLE, pod.message),)
        armed = {mode for mode, plane in self.planes.items() if plane.state and plane.armed}
        assert before == (armed == {Mode.NFTABLES}), "asked before the change, and after it"
        return tuple(self._answer(name, self.fails_in_pod) for name in ("pod", *self.fails_in_pod))

    def _answer(self, name: str, fails: Mapping[str, frozenset[Mode]]) -> Answer:
        armed = {mode for mode, plane in self.planes.items() if plane.state and plane.armed}
        wrong = fails.get(name, frozenset()) & armed
        return Answer(name, ProbeResult.FAILED, f"no answer in {', '.join(sorted(wrong))}") if wrong else Answer(name, ProbeResult.PASSED)

    async def _write(self, status: NodeProxyStatus) -> None:
        self.statuses.append(status)


@contextlib.asynccontextmanager
async def running(node: Node) -> AsyncIterator[Node]:
    task = asyncio.create_task(node.controller.run())
    try:
        await asyncio.sleep(0)
        yield node
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        node.controller.close()


@contextlib.asynccontextmanager
async def served(node: Node, order: Desired = FIRST) -> AsyncIterator[Node]:
    async with running(node):
        node.list_everything()
        node.order(order)
        await soon(lambda: node.says("Synced"))
        yield node


async def test_an_order_is_applied_when_the_cluster_is_known_and_not_ready_before(tmp_path: Path) -> None:
    async with running(Node(tmp_path, Clock())) as node:
        node.order(FIRST)
        await soon(lambda: node.says("Starting"))
        assert node.planes[Mode.NFTABLES].state == {}
        assert node.health.readyz().status == 503
        node.list_everything()
        await soon(lambda: node.says("Synced"))
        assert len(node.planes[Mode.NFTABLES].state) == 1
        assert (node.statuses[-1].observed_generation, node.statuses[-1].observed_revision) == (1, "x-1")
        assert node.health.readyz().status == 200
        assert node.controller.vouches_for() == "u"


async def test_a_restarted_agent_keeps_the_revision_that_the_kernel_has_and_is_not_ready(tmp_path: Path) -> None:
    mode = ModeStatus(desired="auto", effective="iptables")
    before = NodeProxyStatus(observed_generation=1, observed_revision="x-1", mode=mode, capabilities={"kernel": "6.1"})
    async with running(Node(tmp_path, Clock())) as node:
        node.order(replace(FIRST, generation=2, reported=before))
        await soon(lambda: node.says("Starting"))
        first = node.statuses[0]
        assert (first.observed_generation, first.observed_revision, first.mode, first.capabilities) == (1, "x-1", mode, {"kernel": "6.1"})
        assert (node.statuses[-1].observed_generation, node.statuses[-1].observed_revision) == (1, "x-1")


async def test_what_runs_goes_on_where_another_mode_is_impossible(tmp_path: Path) -> None:
    async with running(Node(tmp_path, Clock())) as node:
        node.list_everything()
        node.order(FIRST)
        await soon(lambda: node.says("Synced"))
        node.order(IPVS)
        await soon(lambda: node.says("ModeUnsupported"))
        assert len(node.planes[Mode.NFTABLES].state) == 1
        assert node.statuses[-1].observed_revision == "x-1"
        node.order(replace(FIRST, generation=1))
        await soon(lambda: node.says("Synced"))
        node.order(IPTABLES)
        await soon(lambda: node.statuses[-1].observed_revision == "x-3")
        assert node.planes[Mode.NFTABLES].calls[-1] == "close"


async def test_a_family_that_the_kernel_lacked_is_probed_again_at_a_full_sync(tmp_path: Path) -> None:
    async with running(Node(tmp_path, Clock())) as node:
        node.planes[Mode.NFTABLES].unserved = {Family.IPV6: "fib is missing"}
        node.list_everything()
        node.order(FIRST)
        await soon(lambda: node.says("Synced"))
        assert "FamilyNotServed" in {finding.reason for finding in node.recorder.state.findings}
        node.planes[Mode.NFTABLES].unserved = {}
        node.order(MASQUERADING)
        await soon(lambda: "FamilyNotServed" not in {finding.reason for finding in node.recorder.state.findings})


async def test_auto_ends_in_the_mode_that_the_kernel_has_and_prepares_the_node_for_that_one(tmp_path: Path) -> None:
    async with running(Node(tmp_path, Clock())) as node:
        del node.planes[Mode.NFTABLES]
        node.list_everything()
        node.order(AUTO)
        await soon(lambda: node.says("Synced"))
        assert node.probed == [Mode.NFTABLES, Mode.IPTABLES]
        assert len(node.planes[Mode.IPTABLES].state) == 1
        says = node.statuses[-1].mode
        assert (says.desired, says.effective, says.reason) == ("auto", "iptables", "NextBest")
        assert "the kernel lacks nftables" in says.message
        assert "xt_comment" in {module.name for module in node.statuses[-1].modules.items}
        assert b'"mode":"iptables"' in node.controller.configuration()


async def test_auto_on_a_node_that_runs_the_best_mode_changes_nothing_there(tmp_path: Path) -> None:
    async with running(Node(tmp_path, Clock())) as node:
        node.list_everything()
        node.order(FIRST)
        await soon(lambda: node.says("Synced"))
        node.order(replace(AUTO, generation=2, revision="x-2"))
        await soon(lambda: node.statuses[-1].observed_revision == "x-2")
        assert node.probed == [Mode.NFTABLES]
        assert (node.statuses[-1].mode.desired, node.statuses[-1].mode.effective) == ("auto", "nftables")


def test_auto_without_any_mode_is_reported_and_tried_again(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> tuple[bool, bool, bool]:
        node = Node(tmp_path, clock)
        planes, node.planes = node.planes, {}
        async with running(node):
            node.list_everything()
            node.order(AUTO)
            await asyncio.sleep(RETRY_S / 2)
            first = node.says("ModeUnsupported"), bool(node.statuses[-1].modules.items)
            node.planes = planes
            await asyncio.sleep(RETRY_S)
        return *first, node.says("Synced")

    assert virtualtime.run(scenario) == (True, True, True)


async def test_a_removal_leaves_no_rules_and_no_checkpoint_and_a_later_order_is_applied(tmp_path: Path) -> None:
    async with running(Node(tmp_path, Clock())) as node:
        node.list_everything()
        node.order(FIRST)
        await soon(lambda: node.says("Synced"))
        node.controller.close()  # as at an end: saves
        assert node.checkpoint.load() is not None
        node.order(REMOVE)
        await soon(lambda: node.says("Removed"))
        assert node.planes[Mode.NFTABLES].state == {}
        assert node.checkpoint.load() is None
        assert node.health.readyz().status == 503
        node.order(replace(FIRST, generation=5))
        await soon(lambda: node.says("Synced"))
        assert node.statuses[-1].removed is None


def test_a_mode_that_fails_is_probed_once_per_interval_whatever_else_happens(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> int:
        node = Node(tmp_path, clock)
        async with running(node):
            node.order(IPVS)
            for _ in range(100):  # ten intervals, ten pieces of news in each
                await asyncio.sleep(RETRY_S / 10)
                node.controller.changes.cidrs_changed()
        return len(node.probed)

    assert 9 <= virtualtime.run(scenario) <= 11


def test_a_removal_that_fails_is_reported_and_tried_again(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> tuple[bool, bool]:
        node = Node(tmp_path, clock)
        async with running(node):
            node.list_everything()
            node.order(FIRST)
            await asyncio.sleep(5)
            plane = node.planes[Mode.NFTABLES]
            plane.failure = 1.0
            node.order(REMOVE)
            await asyncio.sleep(5)
            failed = node.says("RemovalFailed")
            plane.failure = 0.0
            await asyncio.sleep(RETRY_S + 5)
            return failed, node.says("Removed")

    assert virtualtime.run(scenario) == (True, True)


def test_kernel_rules_that_cannot_be_read_leave_the_checkpoint_unused_and_the_agent_alive(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> bool:
        before = Node(tmp_path, clock)
        async with running(before):
            before.list_everything()
            before.order(FIRST)
            await asyncio.sleep(5)
        assert before.checkpoint.load() is not None
        after = Node(tmp_path, clock)
        after.planes[Mode.NFTABLES] = Unreadable()
        async with running(after):
            await asyncio.sleep(60)
            after.list_everything()
            after.order(FIRST)
            await asyncio.sleep(5)
            return after.says("Synced")

    assert virtualtime.run(scenario)


def test_an_order_that_comes_while_the_checkpoint_is_considered_is_followed(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> bool:
        before = Node(tmp_path, clock)
        async with running(before):
            before.list_everything()
            before.order(FIRST)
            await asyncio.sleep(5)
        after, loop = Node(tmp_path, clock), asyncio.get_running_loop()
        after.planes[Mode.NFTABLES] = Scanned(lambda: loop.call_soon_threadsafe(after.order, REMOVE))
        async with running(after):
            await asyncio.sleep(120)
            return after.says("Removed")

    assert virtualtime.run(scenario)


NFTABLES_IN, IPTABLES_IN = frozenset((Mode.NFTABLES,)), frozenset((Mode.IPTABLES,))
CAREFULLY = NodeChange(hold_period=Duration(10), on_failure=OnFailure.ROLLBACK)
CAREFUL = replace(IPTABLES, generation=2, change=CAREFULLY)


def phases(node: Node) -> list[str]:
    """Those that the status has told, in order."""
    told = [status.change.phase.value for status in node.statuses if status.change is not None]
    return [phase for phase, _ in itertools.groupby(told)]


def masquerades(plane: FakeDataplane) -> bool:
    return plane.settings.masquerade_all


async def serving(node: Node) -> None:
    node.list_everything()
    node.order(FIRST)
    await asyncio.sleep(5)
    assert node.says("Synced")


def test_a_change_of_mode_is_held_and_then_committed(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        node = Node(tmp_path, clock)
        old, new = node.planes[Mode.NFTABLES], node.planes[Mode.IPTABLES]
        async with running(node):
            await serving(node)
            node.order(CAREFUL)
            await asyncio.sleep(5)
            assert (bool(old.state), old.armed, bool(new.state), new.armed) == (True, False, True, True)
            assert (node.statuses[-1].observed_revision, phases(node)) == ("x-1", ["Holding"])
            await asyncio.sleep(10)
            assert (old.state, bool(new.state)) == ({}, True)
            assert (node.statuses[-1].observed_revision, node.statuses[-1].observed_generation) == ("x-3", 2)
            assert phases(node) == ["Holding", "Committed"]

    virtualtime.run(scenario)


def test_a_probe_that_fails_after_a_change_brings_the_old_mode_back_within_two_seconds(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        node = Node(tmp_path, clock)
        node.fails["dns/UDP"] = IPTABLES_IN
        old, new = node.planes[Mode.NFTABLES], node.planes[Mode.IPTABLES]
        async with running(node):
            await serving(node)
            node.order(CAREFUL)
            await asyncio.sleep(2)
            assert (bool(old.state), old.armed, new.state) == (True, True, {})
            await asyncio.sleep(5)
            last = node.statuses[-1]
            assert (last.observed_revision, last.observed_generation, last.mode.effective) == ("x-1", 2, "nftables")
            assert last.change is not None
            assert (last.change.phase, last.change.reason) == (ChangePhase.ROLLED_BACK, "ProbesFailed")
            assert "dns/UDP: no answer in iptables" in last.change.message
            degraded = condition(last.conditions, "Degraded")
            assert degraded is not None
            assert (degraded.status, degraded.reason) == ("True", "ProbesFailed")
            node.order(FIRST)
            await asyncio.sleep(5)
            assert node.statuses[-1].change is None
            assert node.statuses[-1].observed_generation == 1
            assert node.says("Synced")

    virtualtime.run(scenario)


@pytest.mark.parametrize("at_s", [step / 10 for step in range(12)])
def test_what_breaks_while_a_change_is_held_brings_the_old_mode_back_within_two_seconds(tmp_path: Path, at_s: float) -> None:
    async def scenario(clock: Clock) -> None:
        node = Node(tmp_path, clock)
        old = node.planes[Mode.NFTABLES]
        async with running(node):
            await serving(node)
            node.order(CAREFUL)
            await asyncio.sleep(5 + at_s)
            assert (old.armed, phases(node)) == (False, ["Holding"])
            node.fails["dns/UDP"] = IPTABLES_IN
            await asyncio.sleep(1.0)
            assert not old.armed, "one round has failed at most"
            await asyncio.sleep(0.7)
            assert old.armed

    virtualtime.run(scenario)


def test_a_pod_that_fails_what_the_node_passes_brings_the_old_mode_back(tmp_path: Path) -> None:
    change = outcome_for_pods(tmp_path, ProbePod(addresses=("10.244.0.9",)))

    assert (change.phase, change.reason) == (ChangePhase.ROLLED_BACK, "ProbesFailed")
    assert "self@Pod: no answer in iptables" in change.message
    assert ("pod", ProbeResult.PASSED) in {(probe.name, probe.result) for probe in change.probes}


def test_a_change_without_a_pod_that_could_probe_it_says_why_and_is_committed(tmp_path: Path) -> None:
    change = outcome_for_pods(tmp_path, ProbePod(message="no image"))

    assert change.phase is ChangePhase.COMMITTED
    assert ("pod", ProbeResult.NOT_APPLICABLE, "no image") in {(probe.name, probe.result, probe.message) for probe in change.probes}


def outcome_for_pods(tmp_path: Path, pod: ProbePod) -> ChangeStatus:
    """What becomes of a change to a mode that serves the node and no pod, probed from this one."""

    async def scenario(clock: Clock) -> ChangeStatus | None:
        node = Node(tmp_path, clock)
        node.fails_in_pod["self@Pod"] = IPTABLES_IN
        async with running(node):
            await serving(node)
            node.order(replace(CAREFUL, change=replace(CAREFULLY, pod=pod)))
            await asyncio.sleep(20)
            return node.statuses[-1].change

    change = virtualtime.run(scenario)
    assert change is not None
    return change


class Prompt(ChangeRecord):
    """Has the next order come as soon as a change is over, before anything is done about its end."""

    def __init__(self, folder: Path, order: Callable[[], None]) -> None:
        super().__init__(folder)
        self._order = order

    def save(self, change: Change) -> None:
        super().save(change)
        if change.old is not None and change.phase is Phase.COMMITTED:
            asyncio.get_running_loop().call_soon(self._order)


def test_an_order_that_comes_with_the_end_of_a_change_can_be_gone_back_from_and_leaves_nothing(tmp_path: Path) -> None:
    """As from --config, where all orders have the same generation."""

    async def scenario(clock: Clock) -> None:
        fourth = replace(FIRST, revision="x-4", change=CAREFULLY)
        node = Node(tmp_path, clock, record=lambda: Prompt(tmp_path, lambda: node.order(fourth)))
        old, new = node.planes[Mode.NFTABLES], node.planes[Mode.IPTABLES]
        async with running(node):
            await serving(node)
            node.fails["dns/UDP"] = frozenset()
            node.order(replace(CAREFUL, generation=1))
            await asyncio.sleep(12)
            assert (bool(old.state), bool(new.state), new.armed) == (True, True, False), "held again, the other way round"
            assert node.probed == [Mode.NFTABLES, Mode.IPTABLES, Mode.NFTABLES]
            node.fails["dns/UDP"] = NFTABLES_IN
            await asyncio.sleep(20)
            assert phases(node)[-1] == "RolledBack"
            assert (old.state, bool(new.state), new.armed) == ({}, True, True)

    virtualtime.run(scenario)


def test_what_failed_before_gates_nothing(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        node = Node(tmp_path, clock)
        node.fails["dns/UDP"] = NFTABLES_IN | IPTABLES_IN
        async with running(node):
            await serving(node)
            node.order(CAREFUL)
            await asyncio.sleep(30)
            last = node.statuses[-1]
            assert last.observed_revision == "x-3"
            assert last.change is not None
            assert ("dns/UDP", ProbeResult.FAILED_BEFORE) in {(probe.name, probe.result) for probe in last.change.probes}

    virtualtime.run(scenario)


def test_an_order_that_asks_for_the_old_mode_while_the_new_one_is_held_goes_back_at_once(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        node = Node(tmp_path, clock)
        async with running(node):
            await serving(node)
            node.order(CAREFUL)
            await asyncio.sleep(5)
            node.order(replace(FIRST, generation=3))
            await asyncio.sleep(5)
            assert node.probed == [Mode.NFTABLES, Mode.IPTABLES]
            assert (node.planes[Mode.IPTABLES].state, node.planes[Mode.NFTABLES].armed) == ({}, True)
            assert (node.statuses[-1].observed_revision, node.statuses[-1].observed_generation) == ("x-1", 3)

    virtualtime.run(scenario)


def test_a_change_of_the_same_mode_goes_back_to_the_settings_from_before(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        node = Node(tmp_path, clock)
        plane = node.planes[Mode.NFTABLES]
        async with running(node):
            await serving(node)
            node.fails["dns/UDP"] = frozenset()
            masquerading = ProxyConfigSpec(mode=Mode.NFTABLES, masquerade=Masquerade(all=True))
            node.order(Desired(masquerading, 2, "x-2", uid="u", change=CAREFULLY))
            await asyncio.sleep(3)
            assert masquerades(plane)
            node.fails["dns/UDP"] = NFTABLES_IN
            await asyncio.sleep(4)
            assert not masquerades(plane)
            assert node.statuses[-1].observed_revision == "x-1"
            assert phases(node) == ["Holding", "RolledBack"]

    virtualtime.run(scenario)


def test_a_quick_change_is_one_write_of_the_status(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        node = Node(tmp_path, clock)
        async with running(node):
            await serving(node)
            before = len(node.statuses)
            node.order(replace(IPTABLES, generation=2))
            await asyncio.sleep(5)
            assert node.statuses[-1].observed_revision == "x-3"
            assert len(node.statuses) <= before + 2

    virtualtime.run(scenario)


class Scanned(FakeDataplane):
    """Something happens during its first scan."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._meanwhile: list[Callable[[], object]] = [meanwhile]

    def scan(self) -> list[str]:
        while self._meanwhile:
            self._meanwhile.pop()()
        return super().scan()


class Unreadable(FakeDataplane):
    def scan(self) -> list[str]:
        raise DataplaneError("the kernel says no: Operation not permitted")


LEFT = Seen(tables=("ip kube-proxy", "ip6 kube-proxy"), canaries=("ip mangle",))
NFTABLES_BESIDE = replace(FIRST, spec=ProxyConfigSpec(mode=Mode.NFTABLES, takeover=Policy.ADOPT))


async def test_nothing_is_changed_beside_a_kube_proxy_that_runs_and_everything_when_it_has_ended(tmp_path: Path) -> None:
    async with running(Node(tmp_path, Clock())) as node:
        node.other_proxy = Seen(mode="iptables")
        node.list_everything()
        node.order(FIRST)
        await soon(lambda: node.says("WaitingForKubeProxy"))
        assert node.planes[Mode.NFTABLES].state == {}
        assert node.probed == []
        assert node.statuses[-1].observed_revision == ""
        node.other_proxy = LEFT
        await soon(lambda: node.says("Synced"))
        assert len(node.planes[Mode.NFTABLES].state) == 1


async def test_a_node_is_programmed_beside_a_kube_proxy_that_is_to_be_adopted(tmp_path: Path) -> None:
    async with running(Node(tmp_path, Clock())) as node:
        node.other_proxy = Seen(mode="iptables")
        node.list_everything()
        node.order(NFTABLES_BESIDE)
        await soon(lambda: node.says("Synced"))


def test_what_kube_proxy_left_goes_when_two_looks_have_not_found_it_and_the_node_serves(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        node = Node(tmp_path, clock)
        node.other_proxy = LEFT
        async with running(node):
            node.order(FIRST)
            await asyncio.sleep(2 * WAITING_S)
            assert (node.other_proxy, node.says_of_another_proxy()) == (LEFT, "KubeProxyRulesLeft")
            node.list_everything()
            await asyncio.sleep(WAITING_S)
            assert (node.other_proxy, node.says_of_another_proxy()) == (Seen(), "AsExpected")
            assert node.planes[Mode.NFTABLES].state

    virtualtime.run(scenario)


def test_what_a_kube_proxy_left_that_runs_beside_the_agent_goes_after_its_end(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        node = Node(tmp_path, clock)
        node.other_proxy = beside = replace(LEFT, mode="nftables")
        async with running(node):
            node.list_everything()
            node.order(NFTABLES_BESIDE)
            await asyncio.sleep(2 * LOOK_S)
            assert (node.other_proxy, node.says_of_another_proxy()) == (beside, "KubeProxyRunning")
            node.other_proxy = LEFT
            await asyncio.sleep(LOOK_S + 2 * WAITING_S)
            assert (node.other_proxy, node.says_of_another_proxy()) == (Seen(), "AsExpected")

    virtualtime.run(scenario)


def test_what_kube_proxy_left_stays_while_a_change_is_held(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        node = Node(tmp_path, clock)
        node.other_proxy = replace(LEFT, mode="nftables")
        async with running(node):
            node.list_everything()
            node.order(NFTABLES_BESIDE)
            await asyncio.sleep(LOOK_S)
            node.order(replace(CAREFUL, change=NodeChange(hold_period=Duration(4 * LOOK_S), on_failure=OnFailure.ROLLBACK)))
            node.other_proxy = LEFT
            await asyncio.sleep(3 * LOOK_S)
            assert phases(node)[-1] == "Holding"
            assert (node.other_proxy, node.says_of_another_proxy()) == (LEFT, "KubeProxyRulesLeft")
            await asyncio.sleep(2 * LOOK_S)
            assert phases(node)[-1] == "Committed"
            assert node.other_proxy == Seen(canaries=LEFT.canaries)

    virtualtime.run(scenario)


def test_a_removal_of_what_kube_proxy_left_that_fails_is_reported_and_tried_again(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        node = Node(tmp_path, clock)
        node.other_proxy, node.irremovable = LEFT, "the lock is held"
        async with running(node):
            node.list_everything()
            node.order(FIRST)
            await asyncio.sleep(2 * WAITING_S)
            other = condition(node.statuses[-1].conditions, "OtherProxyPresent")
            assert other is not None
            assert "the lock is held" in other.message
            node.irremovable = ""
            await asyncio.sleep(2 * LOOK_S)
            assert (node.other_proxy, node.says_of_another_proxy()) == (Seen(), "AsExpected")

    virtualtime.run(scenario)


def test_what_comes_back_after_it_was_removed_is_named_and_left_alone(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        node = Node(tmp_path, clock)
        node.other_proxy = LEFT
        async with running(node):
            node.list_everything()
            node.order(FIRST)
            await asyncio.sleep(2 * WAITING_S)
            assert node.other_proxy == Seen()
            node.other_proxy = LEFT
            await asyncio.sleep(3 * LOOK_S)
            assert (node.other_proxy, node.says_of_another_proxy()) == (LEFT, "KubeProxyRulesLeft")

    virtualtime.run(scenario)


def test_a_removal_of_the_agent_removes_nothing_of_kube_proxy(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> None:
        node = Node(tmp_path, clock)
        node.other_proxy = LEFT
        async with running(node):
            node.order(REMOVE)
            await asyncio.sleep(2 * LOOK_S)
            assert node.other_proxy == LEFT

    virtualtime.run(scenario)


async def test_a_node_that_serves_goes_on_when_a_kube_proxy_is_started_beside_it(tmp_path: Path) -> None:
    async with running(Node(tmp_path, Clock())) as node:
        node.list_everything()
        node.order(FIRST)
        await soon(lambda: node.says("Synced"))
        node.other_proxy = Seen(mode="iptables")
        node.order(MASQUERADING)
        await soon(lambda: node.statuses[-1].observed_revision == "x-2")
        assert node.says("Synced")


async def test_a_node_that_observes_is_ready_and_changed_in_nothing(tmp_path: Path) -> None:
    async with running(Node(tmp_path, Clock())) as node:
        node.other_proxy = Seen(mode="iptables")
        node.list_everything()
        node.order(replace(FIRST, spec=ProxyConfigSpec(mode=Mode.NFTABLES, takeover=Policy.OBSERVE)))
        await soon(lambda: node.says("Observing") and node.statuses[-1].observed_revision == "x-1")
        ready = condition(node.statuses[-1].conditions, "Ready")
        assert ready is not None
        assert (ready.status, ready.reason) == ("True", "Observing")
        assert node.planes[Mode.NFTABLES].state == {}
        assert node.probed == []


async def test_an_agent_without_an_order_is_no_kube_proxy_by_its_configz(tmp_path: Path) -> None:
    async with running(Node(tmp_path, Clock())) as node:
        assert node.controller.configuration() == b'{"proxyconfig.dev":{}}'


GIVE_BACK = replace(FIRST, generation=4, give_back=True)
SERVES = KubeProxy("nftables", frozenset({Family.IPV4}))
IN_CHAINS = replace(IPTABLES, generation=4, give_back=True)


async def test_a_node_that_is_given_back_is_served_until_kube_proxy_has_its_rules(tmp_path: Path) -> None:
    async with served(Node(tmp_path, Clock())) as node:
        nftables = node.planes[Mode.NFTABLES]
        node.order(GIVE_BACK)
        await soon(lambda: node.statuses[-1].observed_generation == GIVE_BACK.generation)
        assert "until a kube-proxy answers" in node.words()
        assert (node.says("Synced"), node.statuses[-1].removed, node.port_is_left) == (True, None, [True])
        node.cluster.put_service(service("more", "10.96.0.11"))
        node.controller.changes.cidrs_changed()
        await soon(lambda: len(nftables.state) == 2)
        node.running = KubeProxy("nftables")
        await soon(lambda: "has programmed its own of IPv4" in node.words())
        assert len(nftables.state) == 2
        node.running = SERVES
        await soon(lambda: node.says("Removed"))
        assert nftables.state == {}
        assert node.statuses[-1].removed is not None
        assert node.statuses[-1].removed.objects == 0
        assert node.health.readyz().status == 503


def test_a_mode_whose_connections_last_leaves_a_node_when_they_have_ended(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> tuple[bool, bool]:
        node = Node(tmp_path, clock)
        async with running(node):
            node.list_everything()
            node.order(FIRST)
            await asyncio.sleep(1)
            node.planes[Mode.NFTABLES].connections, node.running = 1, SERVES
            node.health.queued()
            node.order(GIVE_BACK)
            await asyncio.sleep(10 * RETRY_S)
            waits = "until their connections have ended" in node.words() and not node.says("Removed")
            waits &= node.health.livez().status == 200
            node.planes[Mode.NFTABLES].connections = 0
            await asyncio.sleep(2 * RETRY_S)
            return waits, node.says("Removed")

    assert virtualtime.run(scenario) == (True, True)


async def test_a_node_comes_back_while_kube_proxy_is_awaited(tmp_path: Path) -> None:
    async with served(Node(tmp_path, Clock())) as node:
        node.order(GIVE_BACK)
        await soon(lambda: node.statuses[-1].observed_generation == GIVE_BACK.generation)
        node.order(replace(FIRST, generation=5))
        await soon(lambda: node.statuses[-1].observed_generation == 5)
        assert (node.says("Synced"), node.words(), node.port_is_left) == (True, "the Services are in the kernel", [True, False])
        node.running = SERVES
        assert len(node.planes[Mode.NFTABLES].state) == 1


async def test_a_node_comes_back_after_it_was_given_back(tmp_path: Path) -> None:
    async with served(Node(tmp_path, Clock())) as node:
        node.running = SERVES
        node.order(GIVE_BACK)
        await soon(lambda: node.says("Removed"))
        node.order(replace(FIRST, generation=5))
        await soon(lambda: node.says("Synced"))
        assert len(node.planes[Mode.NFTABLES].state) == 1


async def test_the_rules_go_without_a_kube_proxy_where_that_is_asked_for_meanwhile(tmp_path: Path) -> None:
    async with served(Node(tmp_path, Clock())) as node:
        node.order(GIVE_BACK)
        await soon(lambda: node.statuses[-1].observed_generation == GIVE_BACK.generation)
        node.order(replace(REMOVE, generation=5))
        await soon(lambda: node.says("Removed"))
        assert node.planes[Mode.NFTABLES].state == {}


async def test_a_node_in_iptables_mode_goes_over_to_nftables_mode_before_kube_proxy_may_come(tmp_path: Path) -> None:
    async with served(Node(tmp_path, Clock()), IPTABLES) as node:
        node.order(IN_CHAINS)
        await soon(lambda: node.statuses[-1].observed_generation == IN_CHAINS.generation)
        assert node.planes[Mode.IPTABLES].state == {}
        assert len(node.planes[Mode.NFTABLES].state) == 1
        assert "until a kube-proxy answers" in node.words()
        node.running = SERVES
        await soon(lambda: node.says("Removed"))
        assert node.planes[Mode.NFTABLES].state == {}
        assert "nothing of it is left in the kernel" in node.words()


@pytest.mark.parametrize(
    ("mode", "left", "words"), [("iptables", 1, "its chains of iptables mode stay"), ("nftables", 0, "nothing of it is left")]
)
async def test_chains_stay_for_a_kube_proxy_that_serves_already_and_has_such(tmp_path: Path, mode: str, left: int, words: str) -> None:
    async with served(Node(tmp_path, Clock()), IPTABLES) as node:
        node.running = KubeProxy(mode, SERVES.synced)
        node.order(IN_CHAINS)
        await soon(lambda: node.says("Removed"))
        assert len(node.planes[Mode.IPTABLES].state) == left
        assert words in node.words()


def test_chains_stay_and_wait_for_no_kube_proxy_where_the_kernel_can_do_nothing_else(tmp_path: Path) -> None:
    async def scenario(clock: Clock) -> tuple[int, str]:
        node = Node(tmp_path, clock)
        del node.planes[Mode.NFTABLES]
        async with running(node):
            node.list_everything()
            node.order(IPTABLES)
            await asyncio.sleep(1)
            node.order(IN_CHAINS)
            await asyncio.sleep(2 * RETRY_S)
            return len(node.planes[Mode.IPTABLES].state), node.words()

    left, words = virtualtime.run(scenario)
    assert left == 1
    assert "its chains of iptables mode stay for kube-proxy" in words


async def test_a_restarted_agent_serves_what_was_in_force_before_it_was_to_give_the_node_back(tmp_path: Path) -> None:
    async with served(Node(tmp_path, Clock()), MASQUERADING) as before:
        before.order(replace(MASQUERADING, generation=4, give_back=True))
        await soon(lambda: before.statuses[-1].observed_generation == 4)
    after = Node(tmp_path, Clock())
    after.planes = before.planes
    async with running(after):
        after.list_everything()
        after.order(GIVE_BACK)
        await soon(lambda: after.statuses and after.statuses[-1].observed_generation == 4)
        await soon(lambda: after.says("Synced"))
        assert after.planes[Mode.NFTABLES].settings.masquerade_all
