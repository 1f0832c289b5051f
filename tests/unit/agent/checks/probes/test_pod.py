"""Probes from a pod: what it is sent, what it answers, and what is made of a pod that does not answer. Over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from tests.support.httpserving import ask as ask_http
from tests.support.httpserving import serving

from proxyconfig_agent.checks.probes.judge import failed, judged
from proxyconfig_agent.checks.probes.model import Absent, Answer, Kind, Target
from proxyconfig_agent.checks.probes.pod.client import POD, ask
from proxyconfig_agent.checks.probes.pod.server import server
from proxyconfig_agent.checks.probes.prober import probe
from proxyconfig_agent.checks.probes.targets import API_SERVER, SELF, targets_of_pod
from proxyconfig_agent.ingest.addresses import parse_address
from proxyconfig_agent.ingest.model import Family, Node, NodeName, Protocol, Service, ServicePort
from proxyconfig_api.objects.nodeproxy import ProbePod
from proxyconfig_api.spec.rollout import Probes
from proxyconfig_api.status.rollout import ProbeResult

HERE = parse_address("127.0.0.1")
UID = "6f1c"
TIMEOUT_S = 2.0


@contextmanager
def pod_server() -> Iterator[int]:
    with serving(server(UID, probe, "127.0.0.1", 0)) as port:
        yield port


@asynccontextmanager
async def silence() -> AsyncIterator[int]:
    """The port of a server that never answers."""
    never = asyncio.Event()

    async def wait(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.transport.abort()

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as mute:
        yield mute.sockets[0].getsockname()[1]
        never.set()


async def asked(
    port: int, *targets: Target | Absent, uid: str = UID, before: bool = True, timeout_s: float = TIMEOUT_S
) -> tuple[Answer, ...]:
    return await ask(ProbePod(uid=uid, addresses=("127.0.0.1",)), targets, timeout_s, before=before, port=port)


def test_the_pod_asks_what_its_agent_sends_and_answers_what_came_of_it() -> None:
    async def scenario() -> tuple[Answer, ...]:
        with pod_server() as port:
            refused = unused_port()
            own, gone = Target("self@Pod", Kind.HTTP, HERE, port, "/"), Target("apiServer@Pod", Kind.TCP, HERE, refused)
            return await asked(port, own, Absent("web@Pod", "it does not exist"), gone)

    pod, absent, own, gone = asyncio.run(scenario())
    assert pod == Answer(POD, ProbeResult.PASSED)
    assert absent == Answer("web@Pod", ProbeResult.NOT_APPLICABLE, "it does not exist")
    assert own == Answer("self@Pod", ProbeResult.PASSED, family=Family.IPV4)
    assert (gone.name, gone.result) == ("apiServer@Pod", ProbeResult.FAILED)
    assert gone.message.endswith("Connection refused")


def test_who_does_not_know_the_uid_of_the_pod_has_it_ask_nothing() -> None:
    async def scenario() -> tuple[Answer, ...]:
        with pod_server() as port:
            return await asked(port, Target("self@Pod", Kind.TCP, HERE, port), uid="another")

    (answer,) = asyncio.run(scenario())
    assert answer.result is ProbeResult.NOT_APPLICABLE
    assert "its answer is 404 Not Found" in answer.message


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_a_pod_with_an_ipv6_address_is_asked_as_well() -> None:
    with serving(server(UID, probe, "::1", 0)) as port:
        answers = asyncio.run(ask(ProbePod(uid=UID, addresses=("::1",)), (), TIMEOUT_S, before=True, port=port))
    assert answers == (Answer(POD, ProbeResult.PASSED),)


def test_kubelet_finds_the_pod_ready() -> None:
    with pod_server() as port:
        assert ask_http(port, "/") == (200, b"")


def test_a_round_that_is_none_is_a_bad_request() -> None:
    with pod_server() as port:
        assert ask_http(port, f"/{UID}", "POST", body=b"{}")[0] == 400


def test_a_pod_that_does_not_answer_before_a_change_is_not_applicable_and_says_nothing_afterwards() -> None:
    async def scenario() -> tuple[tuple[Answer, ...], tuple[Answer, ...]]:
        port = unused_port()
        target = Target("self@Pod", Kind.TCP, HERE, port)
        return await asked(port, target), await asked(port, target, before=False)

    before, after = asyncio.run(scenario())
    assert [each.result for each in before] == [ProbeResult.NOT_APPLICABLE]
    assert "127.0.0.1 does not answer its agent" in before[0].message
    assert [each.result for each in judged(before, after)] == [ProbeResult.NOT_APPLICABLE]


def test_a_pod_that_answered_before_a_change_and_does_not_after_it_speaks_against_it() -> None:
    async def scenario() -> tuple[Answer, ...]:
        return await asked(unused_port(), before=False)

    assert failed(judged((Answer(POD, ProbeResult.PASSED),), asyncio.run(scenario())))


def test_a_pod_that_is_silent_is_given_up_in_time() -> None:
    async def scenario() -> tuple[Answer, ...]:
        async with silence() as port:
            return await asked(port, before=False, timeout_s=0.1)

    (answer,) = asyncio.run(scenario())
    assert answer.result is ProbeResult.FAILED
    assert answer.message.endswith("no answer within 0.1 s")


def test_what_a_target_does_not_answer_is_told_before_the_agent_gives_the_pod_up() -> None:
    async def scenario() -> tuple[Answer, ...]:
        async with silence() as mute:
            with pod_server() as port:
                return await asked(port, Target("web@Pod", Kind.HTTP, HERE, mute, "/"), timeout_s=1.0)

    pod, web = asyncio.run(scenario())
    assert (pod.result, web.result) == (ProbeResult.PASSED, ProbeResult.FAILED)
    assert web.message.endswith("no answer within 0.8 s")


def test_where_there_is_no_pod_the_operator_s_words_are_the_answer() -> None:
    missing = ProbePod(message="it was not ready within 60 s")
    answers = asyncio.run(ask(missing, (), TIMEOUT_S, before=False))
    assert answers == (Answer(POD, ProbeResult.NOT_APPLICABLE, "it was not ready within 60 s"),)


def test_a_pod_is_to_ask_itself_and_what_the_node_asks() -> None:
    node, cluster_ip = Node(NodeName("node-1")), (parse_address("10.96.0.1"),)
    api_server = Service(API_SERVER, "", (ServicePort("https", Protocol.TCP, 443),), cluster_ip)
    own = Service(SELF, "", (ServicePort("http", Protocol.TCP, 80),), (parse_address("10.96.0.9"),))

    found = targets_of_pod(Probes(dns=False), {each.name: each for each in (api_server, own)}, node)

    assert [f"{each.name}: {each}" for each in found] == ["self@Pod: HTTP 10.96.0.9:80/", "apiServer@Pod: TCP 10.96.0.1:443"]


def test_without_the_service_of_the_pods_only_that_is_not_asked() -> None:
    found = targets_of_pod(Probes(), {}, Node(NodeName("node-1")))
    assert found == (Absent("self@Pod", "the Service proxyconfig-system/proxyconfig-probe does not exist"),)


def unused_port() -> int:
    """Nothing listens there."""
    with pod_server() as port:
        return port
