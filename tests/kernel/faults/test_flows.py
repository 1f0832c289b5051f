"""UDP clients over restarts and stand-stills of the agent as a process: what became stale meanwhile ends within a second of its sync."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

import pytest
from tests.kernel.faults.agent import Agent
from tests.kernel.faults.conftest import Web
from tests.kernel.node.udp import WAYS, Client, Table, answered_by, clients, exposed, lasting_flows, ready, service
from tests.kernel.traffic.apiserver import Cluster
from tests.support.netns.topology import Topology
from tests.support.polling import eventually

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(400)]

SYNC_WITHIN_S = 60
FLOWS_WITHIN_S = 60
OTHER = ("10.96.0.201", "fd00:10:96::c9")


@pytest.fixture
def sending(world: Topology) -> Iterator[list[Client]]:
    """Clients of every address of the Service that never stop sending. A flow does not end by itself while an agent starts."""
    Table(world.node).empty()
    with lasting_flows(world.node), clients(world, *WAYS) as made:
        yield made


def reach(sending: list[Client], place: str, within_s: float) -> None:
    for client in sending:
        eventually(client.ask, within_s=within_s, every_s=0.02, until=lambda got: got == f"{place} 8080")


def in_kernel(world: Topology, place: str) -> None:
    """Wait until a new client of the Service reaches this place: the rules are those of now."""

    def new_client() -> str:
        with contextlib.closing(Client(world["client"], WAYS[0][1].v4, WAYS[0][2])) as client:
            return client.ask()

    eventually(new_client, within_s=SYNC_WITHIN_S, every_s=0.02, until=lambda got: got == f"{place} 8080")


def test_an_agent_that_was_frozen_while_endpoints_changed(
    agent: Agent, world: Topology, web: Web, api_cluster: Cluster, sending: list[Client]
) -> None:
    api_cluster.put({**web.objects, **exposed(ready("near1"))})
    with agent.running():
        agent.serves()
        reach(sending, "near1", SYNC_WITHIN_S)
        agent.signal(signal.SIGSTOP)
        api_cluster.put({**web.objects, **exposed(ready("near2"))})
        reach(sending, "near1", FLOWS_WITHIN_S)
        agent.signal(signal.SIGCONT)
        in_kernel(world, "near2")
        eventually(lambda: answered_by(Table(world.node).all(), "near1"), within_s=FLOWS_WITHIN_S, until=lambda flows: not flows)
        reach(sending, "near2", FLOWS_WITHIN_S)
        assert agent.deleted_flows("endpoint-gone") >= len(sending)


@pytest.mark.parametrize("gone", [False, True], ids=["the endpoint is another", "the Service is gone"])
def test_an_agent_that_was_away_while_something_changed(
    agent: Agent, world: Topology, web: Web, api_cluster: Cluster, *, sending: list[Client], gone: bool
) -> None:
    other = service(ready("near1", "near2"), name="other", clusterIP=OTHER[0], clusterIPs=list(OTHER))
    api_cluster.put({**web.objects, **other, **exposed(ready("near1"))})
    with contextlib.ExitStack() as open_clients:
        with agent.running():
            agent.serves()
            reach(sending, "near1", SYNC_WITHIN_S)
            beside = [open_clients.enter_context(contextlib.closing(Client(world["client"], OTHER[0], WAYS[0][2]))) for _ in range(50)]
            answers = [client.ask() for client in beside]
            assert set(answers) == {"near1 8080", "near2 8080"}
        api_cluster.put({**web.objects, **other, **({} if gone else exposed(ready("near2")))})
        with agent.running():
            reason = "service-gone" if gone else "endpoint-gone"
            eventually(lambda: agent.deleted_flows(reason) == len(sending), within_s=SYNC_WITHIN_S)
            if not gone:
                reach(sending, "near2", FLOWS_WITHIN_S)
            assert agent.metric("proxyconfig_conntrack_deleted_total") == len(sending)
            assert [client.ask() for client in beside] == answers, "unrelated flows keep their endpoint"
