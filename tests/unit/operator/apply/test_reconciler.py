"""One pass: in which order things are written, and what happens when they are refused or fail."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import pytest
from tests.unit.operator.builders import INSTALLATION, X1, config, node, proxy, reported
from tests.unit.operator.decide.test_probe_pods import AFTER, changing

from proxyconfig_api.objects import heartbeat, names
from proxyconfig_api.status.conditions import is_true
from proxyconfig_client.apiserver.events import Reference
from proxyconfig_client.watch.objects import Metadata
from proxyconfig_operator.apply.reconciler import BEHIND_S, Reconciler
from proxyconfig_operator.apply.workqueue import RetryError
from proxyconfig_operator.model.objects import Config
from proxyconfig_operator.model.probe_pods import START_S
from proxyconfig_operator.model.writes import Apply, Label, Resource, Write
from proxyconfig_operator.watch.caches import ORPHANS, Caches
from proxyconfig_operator.watch.heartbeats import Heartbeat
from proxyconfig_operator.watch.observations import Observations


class Server:
    """Keeps writes in their order; refuses, or fails for now, what a test says."""

    def __init__(self) -> None:
        self.written: list[Write] = []
        self.refuses: set[Resource] = set()
        self.fails = False
        self.events: list[str] = []

    async def write(self, writes: Iterable[Write]) -> list[str]:
        refused = []
        for write in writes:
            if self.fails:
                raise RetryError("not now")
            resource, name = (Resource.NODE, write.node) if isinstance(write, Label) else (write.resource, write.name)
            if resource in self.refuses and not (isinstance(write, Apply) and write.part):
                refused.append(f"the API server refuses {name}: no")
            else:
                self.written.append(write)
        return refused

    async def post(self, regarding: Reference, reason: str, note: str, *, action: str, kind: Literal["Normal", "Warning"]) -> None:
        assert (action, bool(note)) == ("Reconcile", True)
        about = "" if regarding.kind == "ProxyConfig" else f"{regarding.kind} {regarding.name}: "
        self.events.append(f"{about}{kind} {reason}")

    def order(self) -> list[str]:
        return [
            f"{each.resource.value}/{each.part}".rstrip("/") if isinstance(each, Apply) else type(each).__name__ for each in self.written
        ]

    def status(self) -> Config:
        """The ProxyConfig with the status that was written last."""
        last = [each for each in self.written if isinstance(each, Apply) and each.part == "status"][-1]
        return Config.of({"metadata": {"name": "x", "uid": "uid-x"}, "spec": {}, "status": last.body["status"]})


@pytest.fixture
def caches() -> Caches:
    made = Caches(lambda _name: None, Observations(120))
    made.configs.on_upsert(config())
    made.nodes.on_upsert(node("n1"))
    return made


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def reconciler(caches: Caches, server: Server) -> Reconciler:
    return Reconciler(caches, server, server, INSTALLATION, 120)


async def test_what_nodes_refer_to_comes_first_then_status_then_nodes(reconciler: Reconciler, server: Server) -> None:
    assert await reconciler.reconcile("x") is None

    assert server.order() == [
        "ProxyConfig",
        "ControllerRevision",
        "ControllerRevision",
        "DaemonSet",
        "ProxyConfig/status",
        "NodeProxy",
        "Label",
    ]
    assert server.events == ["Normal RollingOut"]


async def test_what_is_refused_is_told_no_node_is_touched_and_it_is_tried_again(reconciler: Reconciler, server: Server) -> None:
    server.refuses.add(Resource.DAEMON_SET)

    with pytest.raises(RetryError, match="refuses proxyconfig-x"):
        await reconciler.reconcile("x")

    assert server.order()[-1] == "ProxyConfig/status"
    assert is_true(server.status().status.conditions, "Stalled")
    assert server.events == ["Normal RollingOut", "Warning WriteRefused"]


async def test_a_refusal_while_nodes_are_moved_is_told_in_the_next_pass_and_forgotten_when_it_is_over(
    reconciler: Reconciler, caches: Caches, server: Server
) -> None:
    server.refuses.add(Resource.NODE)
    with pytest.raises(RetryError):
        await reconciler.reconcile("x")
    assert not is_true(server.status().status.conditions, "Stalled")
    server.refuses.clear()

    assert await reconciler.reconcile("x") == 0, "once more, to tell that it is over"

    assert is_true(server.status().status.conditions, "Stalled")
    caches.configs.on_upsert(server.status())
    caches.proxies.on_upsert(proxy("n1", revision=X1))
    await reconciler.reconcile("x")
    assert not is_true(server.status().status.conditions, "Stalled")


async def test_nothing_is_written_while_the_caches_do_not_show_what_was_written_before(
    reconciler: Reconciler, caches: Caches, server: Server
) -> None:
    await reconciler.reconcile("x")
    written = list(server.written)

    assert await reconciler.reconcile("x") == BEHIND_S

    assert server.written == written
    caches.configs.on_upsert(server.status())
    caches.proxies.on_upsert(proxy("n1", revision=X1))
    assert await reconciler.reconcile("x") != BEHIND_S


async def test_what_fails_for_now_is_tried_again_and_nothing_is_told_that_did_not_happen(reconciler: Reconciler, server: Server) -> None:
    server.fails = True
    with pytest.raises(RetryError):
        await reconciler.reconcile("x")

    assert (server.written, server.events) == ([], [])
    server.fails = False
    await reconciler.reconcile("x")
    assert "NodeProxy" in server.order()


async def test_one_that_is_gone_is_nothing_to_do(reconciler: Reconciler, server: Server) -> None:
    assert await reconciler.reconcile("gone") is None
    assert server.written == []


async def test_orphans_are_asked_to_remove_their_rules_and_what_is_overdue_is_said_of_the_node(
    reconciler: Reconciler, caches: Caches, server: Server
) -> None:
    caches.configs.on_upsert(config(nodeSelector={"matchLabels": {"a": "b"}}))
    caches.nodes.on_upsert(node("elsewhere", ready="Unknown", **{names.CONFIG_LABEL: "gone"}))
    caches.proxies.on_upsert(proxy("elsewhere", "gone", **reported("x-1")))

    await reconciler.reconcile(ORPHANS)
    assert (server.order(), server.events) == (["NodeProxy"], [])

    caches.proxies.on_upsert(proxy("elsewhere", "gone", action="Remove", **reported("x-1")))
    await reconciler.reconcile(ORPHANS)
    assert server.events == ["Node elsewhere: Warning RemovalNotProven"]


async def test_a_probe_pod_that_the_api_server_refuses_holds_a_change_up_for_a_minute_and_no_longer(server: Server) -> None:
    now_s = 0.0
    caches, there = Caches(lambda _name: None, Observations(120, lambda: now_s)), changing(AFTER)
    caches.configs.on_upsert(there.configs["x"])
    for name in there.nodes:
        caches.nodes.on_upsert(there.nodes[name])
        caches.proxies.on_upsert(there.proxies[name])
        caches.pods.on_upsert(there.pods[f"agent-{name}"])
    for revision in there.revisions.values():
        caches.revisions.on_upsert(revision)
    for daemonset in there.daemonsets.values():
        caches.daemonsets.on_upsert(daemonset)
    now_s += 1000  # all of it has been so for long
    for name in there.nodes:
        caches.heartbeats.on_upsert(Heartbeat(Metadata(heartbeat.lease_of(name), names.NAMESPACE, "1")))
    reconciler = Reconciler(caches, server, server, INSTALLATION, 120)
    server.refuses.add(Resource.POD)

    with pytest.raises(RetryError, match="refuses proxyconfig-probe-n1"):
        await reconciler.reconcile("x")
    assert "NodeProxy" not in server.order()
    now_s += START_S
    await reconciler.reconcile("x")

    assert "NodeProxy" in server.order()
