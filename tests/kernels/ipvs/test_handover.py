"""Leaving ipvs mode at once: connection tracking has its connections from then on, and nothing of the mode is left."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace
from tests.kernel.in_namespace import Entered
from tests.kernels.ipvs.packets import FAMILIES, SETTINGS, TALKING, Served, public_ip, service, service_ip
from tests.support.netns.topology import PODS, PODS2
from tests.support.polling import eventually
from tests.unit.agent.dataplane.nftables.frontends import ip

from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs
from proxyconfig_agent.dataplane.modes.takeover import Takeover
from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.port import ModeInstance
from proxyconfig_agent.ingest.model import Protocol
from proxyconfig_agent.netlink.conntrack import entries, exchange
from proxyconfig_agent.netlink.uapi import IPS_DST_NAT
from proxyconfig_agent.select.frontends import Frontends

pytestmark = pytest.mark.timeout(300)

AT_ONCE = replace(SETTINGS, drain_s=0.0)
STREAMING = 6061
BEFORE, AFTER = b"before".ljust(1000), b"after".ljust(1000)
PATIENCE_S = 60


@contextlib.contextmanager
def left_at_once(world: Served, ports: list[Frontends]) -> Iterator[Callable[[], None]]:
    """In ipvs mode; the function leaves it for nftables mode."""
    node = world.topology.node
    with contextlib.ExitStack() as stack:

        def entered(make: Callable[[], ModeInstance]) -> Entered:
            made = Entered(node, make)
            stack.callback(made.close)
            stack.callback(made.remove)
            return made

        before, after = entered(Ipvs), entered(Nftables)
        before.resync(AT_ONCE, ports)
        mode = Takeover(after, lambda: iter([Entered(node, Ipvs)]))

        def leave() -> None:
            mode.resync(AT_ONCE, ports)
            assert before.scan() == []
            assert node.run("nft", "list", "tables") == "table ip proxyconfig\ntable ip6 proxyconfig\n", "the guard is gone as well"

        yield leave
        mode.close()


@contextlib.contextmanager
def connected(world: Served, *ends: tuple[str, str]) -> Iterator[list[socket.socket]]:
    """A connection from each place to each address."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(world.topology[place].call(socket.create_connection, (to, 80), PATIENCE_S)) for place, to in ends]


@pytest.mark.parametrize("family", FAMILIES)
def test_connections_of_pods_the_node_and_outside_go_on_with_their_endpoint(world: Served, family: int) -> None:
    ports = [service(family, 20, "near1", "far1", target=TALKING, external_ips=(ip(public_ip(family, 20)),))]
    vip, public = service_ip(family, 20), public_ip(family, 20)
    ends = [(place, vip) for place in ("client", "client", "near1", "node", "node", "outside")]
    ends += [(place, public) for place in ("client", "node", "outside")]
    with left_at_once(world, ports) as leave, connected(world, *ends) as connections:
        answered = [world.answer(each) for each in connections]
        assert set(answered) == {"near1", "far1"}
        leave()
        assert [world.answer(each) for each in connections] == answered
        assert [world.answer(each) for each in connections] == answered, "in the direction of the answer, too"
        with connected(world, ("client", vip)) as (new,):
            assert world.answer(new) in {"near1", "far1"}


@pytest.mark.parametrize(("pod", "family"), [("near1", 4), ("far1", 6)])
def test_a_stream_to_a_client_that_says_nothing_goes_on(world: Served, pod: str, family: int) -> None:
    kind, address = (socket.AF_INET, socket.AF_INET6)[family == 6], {**PODS, **PODS2}[pod][family]
    ports = [service(family, 21, pod, target=STREAMING)]
    with (
        world.topology[pod].call(lambda: socket.create_server((address, STREAMING), family=kind)) as listening,
        left_at_once(world, ports) as leave,
        connected(world, ("client", service_ip(family, 21))) as (client,),
    ):
        listening.settimeout(PATIENCE_S)
        server, _ = listening.accept()
        with server, reading(client) as read, streaming(server) as say:
            say(BEFORE)
            eventually(lambda: BEFORE in read, within_s=PATIENCE_S)
            leave()
            say(AFTER)
            eventually(lambda: AFTER in read, within_s=PATIENCE_S)
            assert read == {BEFORE, AFTER}


def test_a_client_that_has_said_all_still_gets_its_answer(world: Served) -> None:
    ports = [service(4, 22, "near1", target=STREAMING)]
    with (
        world.topology["near1"].call(socket.create_server, (PODS["near1"].v4, STREAMING)) as listening,
        left_at_once(world, ports) as leave,
        connected(world, ("client", service_ip(4, 22))) as (client,),
    ):
        listening.settimeout(PATIENCE_S)
        server, _ = listening.accept()
        with server:
            client.shutdown(socket.SHUT_WR)
            assert server.recv(1) == b""
            leave()
            server.sendall(b"late")
        assert client.recv(10) == b"late"


def test_associations_of_sctp_go_on(world: Served) -> None:
    ports = [service(4, 24, "near1", target=STREAMING, protocol=Protocol.SCTP)]

    def sctp() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP)

    with (
        world.topology["near1"].call(sctp) as listening,
        world.topology["client"].call(sctp) as client,
        left_at_once(world, ports) as leave,
    ):
        for each in (listening, client):
            each.settimeout(PATIENCE_S)
        listening.bind((PODS["near1"].v4, STREAMING))
        listening.listen()
        client.connect((service_ip(4, 24), 80))
        server, _ = listening.accept()
        with server:
            server.settimeout(PATIENCE_S)
            for word in (b"before", b"after"):
                client.sendall(word)
                assert server.recv(10) == word
                server.sendall(word)
                assert client.recv(10) == word
                if word == b"before":
                    leave()


def test_the_entry_of_a_connection_has_its_translation_from_then_on(world: Served) -> None:
    ports = [service(4, 23, "near1", target=TALKING)]
    with left_at_once(world, ports) as leave, connected(world, ("client", service_ip(4, 23))) as (client,):
        world.answer(client)
        before = _entry(world, client)
        assert not before.status & IPS_DST_NAT
        leave()
        after = _entry(world, client)
        assert after.status & IPS_DST_NAT
        assert (after.original, after.reply, after.state) == (before.original, before.reply, before.state)
        assert world.answer(client) == "near1"


@contextlib.contextmanager
def streaming(server: socket.socket) -> Iterator[Callable[[bytes], None]]:
    """The function says which word goes out from now on, again and again."""
    words: list[bytes] = []
    said, over = threading.Event(), threading.Event()

    def send() -> None:
        said.wait(PATIENCE_S)
        with contextlib.suppress(OSError):
            while not over.is_set():
                server.sendall(words[-1])

    def say(word: bytes) -> None:
        words.append(word)
        said.set()

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield say
    finally:
        over.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_S)


@contextlib.contextmanager
def reading(client: socket.socket) -> Iterator[set[bytes]]:
    """The words that have come so far."""
    found: set[bytes] = set()

    def read() -> None:
        with contextlib.suppress(OSError), client.makefile("rb") as stream:
            while word := stream.read(len(BEFORE)):
                found.add(word)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield found
    thread.join(PATIENCE_S)


def _entry(world: Served, client: socket.socket) -> entries.Entry:
    port = client.getsockname()[1]

    def found() -> list[entries.Entry]:
        return [entries.parse(each) for each in exchange.dump(socket.AF_INET, entries.question(Protocol.TCP))]

    (entry,) = [each for each in world.topology.node.call(found) if each.original.source.port == port]
    return entry
