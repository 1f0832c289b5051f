"""TCP through the proxy process, with real sockets: both directions, half-close, back-pressure, resets, round robin, affinity, refusals."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.kernel.userspace.rig import ENDPOINTS, Rig, naming, route
from tests.support.polling import eventually

from proxyconfig_agent.dataplane.userspace.kernel.proxy_client import ProxyClient
from proxyconfig_agent.ingest.model import Family

pytestmark = pytest.mark.kernel

LINUX = tuple(map(int, platform.release().split(".")[:2]))
BIG = 20_000_000
PIECE = 1 << 16


def received(connection: socket.socket) -> bytes:
    """Everything up to the end of the stream."""
    pieces = []
    while piece := connection.recv(PIECE):
        pieces.append(piece)
    return b"".join(pieces)


def names(made: Rig, count: int) -> Counter[bytes]:
    """Who answers so many connections, one after the other."""
    found: Counter[bytes] = Counter()
    for _ in range(count):
        with made.connected() as client:
            found[received(client)] += 1
    return found


def is_refused(made: Rig, vip: int = 1) -> bool:
    """Whether a connection is reset, at once or when it is made."""
    try:
        with made.connected(vip=vip) as client:
            client.recv(1)
    except ConnectionResetError:
        return True
    return False


@pytest.mark.parametrize("family", list(Family))
def test_a_stream_reaches_the_endpoint_whole_and_in_order_in_both_directions(made: Rig, proxy: ProxyClient, family: Family) -> None:
    proxy.update([route(1, family=family)])
    octets = bytes(range(256)) * (BIG // 256)
    with made.listening(1, family) as server, made.connected(family) as client:
        endpoint, _ = server.accept()
        with endpoint:
            for sender, receiver in ((client, endpoint), (endpoint, client)):
                sending = threading.Thread(target=lambda sender=sender: (sender.sendall(octets), sender.shutdown(socket.SHUT_WR)))
                sending.start()
                digest = hashlib.sha256(received(receiver)).digest()
                sending.join()
                assert digest == hashlib.sha256(octets).digest()


def test_a_client_that_has_sent_everything_still_gets_the_answer(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1)])
    with made.listening(1) as server, made.connected() as client:
        endpoint, _ = server.accept()
        with endpoint:
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            assert received(endpoint) == b"question"
            endpoint.sendall(b"answer")
            endpoint.shutdown(socket.SHUT_WR)
            assert received(client) == b"answer"


def test_an_endpoint_that_has_sent_everything_still_hears_the_client(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1)])
    with made.listening(1) as server, made.connected() as client:
        endpoint, _ = server.accept()
        with endpoint:
            endpoint.sendall(b"greeting")
            endpoint.shutdown(socket.SHUT_WR)
            assert received(client) == b"greeting"
            client.sendall(b"late words")
            client.shutdown(socket.SHUT_WR)
            assert received(endpoint) == b"late words"


def test_a_receiver_that_does_not_read_stops_the_sender_and_gets_everything_later(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1)])
    with made.listening(1, receive_buffer=4096) as server, made.connected() as client:
        endpoint, _ = server.accept()
        with endpoint:
            client.setblocking(False)
            sent = 0
            digest = hashlib.sha256()

            def stuck() -> bool:
                nonlocal sent
                before = sent
                with contextlib.suppress(BlockingIOError):
                    while True:
                        octets = hashlib.sha256(str(sent).encode()).digest() * 2048
                        count = client.send(octets)
                        digest.update(octets[:count])
                        sent += count
                return sent == before

            eventually(stuck, every_s=0.5)
            assert 0 < sent < BIG, "the proxy keeps it all in memory"
            client.shutdown(socket.SHUT_WR)
            arrived = received(endpoint)
            assert (len(arrived), hashlib.sha256(arrived).digest()) == (sent, digest.digest())


@pytest.mark.parametrize("who", ["client", "endpoint"])
def test_a_reset_of_one_side_is_one_for_the_other(made: Rig, proxy: ProxyClient, who: str) -> None:
    proxy.update([route(1)])
    with made.listening(1) as server, made.connected() as client:
        endpoint, _ = server.accept()
        with endpoint:
            one, other = (client, endpoint) if who == "client" else (endpoint, client)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.close()
            with pytest.raises(ConnectionResetError):
                received(other)


def test_endpoints_take_turns(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, 2, 3)])
    with contextlib.ExitStack() as servers:
        for number in (1, 2, 3):
            servers.enter_context(naming(made.listening(number), b"%d" % number))
        assert names(made, 30) == {b"1": 10, b"2": 10, b"3": 10}


def test_an_endpoint_that_refuses_is_skipped_and_tried_again_later(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, 2, 3)])
    with naming(made.listening(1), b"1"), naming(made.listening(3), b"3"):
        assert set(names(made, 12)) == {b"1", b"3"}
        with naming(made.listening(2), b"2"):
            eventually(lambda: b"2" in names(made, 3))


@contextlib.contextmanager
def silent(made: Rig, number: int) -> Iterator[None]:
    """An endpoint that neither takes nor refuses a connection."""
    made.backend.run("nft", "add table ip silent; add chain ip silent input { type filter hook input priority 0; }")
    made.backend.run("nft", f"add rule ip silent input ip daddr {ENDPOINTS[Family.IPV4].format(number)} drop")
    try:
        yield
    finally:
        made.backend.run("nft", "delete table ip silent")


def test_an_endpoint_that_does_not_answer_is_left_for_the_next_one(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, 2)])
    with naming(made.listening(1), b"1"), silent(made, 2):
        assert names(made, 6) == {b"1": 6}


def test_an_endpoint_that_has_not_answered_once_has_its_next_turn(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, 2)])
    with naming(made.listening(1), b"1"), naming(made.listening(2), b"2"):
        with silent(made, 2):
            assert names(made, 2) == {b"1": 2}
        assert names(made, 8) == {b"1": 4, b"2": 4}


def test_a_client_is_refused_if_every_endpoint_refuses(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, 2)])
    assert is_refused(made)


def test_a_client_of_an_address_that_has_no_route_is_refused(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1)])
    assert is_refused(made, vip=9)


def test_a_client_stays_with_its_endpoint_where_there_is_affinity_until_that_one_refuses(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, 2, 3, affinity_s=3600)])
    with contextlib.ExitStack() as others:
        servers = {b"%d" % number: naming(made.listening(number), b"%d" % number) for number in (1, 2, 3)}
        for server in servers.values():
            server.__enter__()
        (first,) = names(made, 10)
        servers.pop(first).__exit__(None, None, None)
        for server in servers.values():
            others.push(server)
        ((second, count),) = names(made, 10).items()
        assert second != first
        assert count == 10


def test_a_change_of_endpoints_concerns_new_connections_only(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1)])
    with made.listening(1) as server, made.connected() as client:
        endpoint, _ = server.accept()
        with endpoint, naming(made.listening(2), b"2"):
            proxy.update([route(2)])
            assert names(made, 4) == {b"2": 4}
            proxy.update(drop=[route(2).key])
            client.sendall(b"still here")
            assert endpoint.recv(PIECE) == b"still here"
            assert is_refused(made)


@pytest.mark.skipif(LINUX < (6, 7), reason="nf_nat before Linux 6.7 leaves the packets of the second one to the first one's socket")
def test_two_connections_from_one_port_of_a_client_go_each_where_it_was_sent(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, vip=1), route(2, vip=2)])
    with (
        naming(made.listening(1), b"1"),
        naming(made.listening(2), b"2"),
        made.connected(vip=1, source_port=45678) as one,
        made.connected(vip=2, source_port=45678) as other,
    ):
        assert (received(one), received(other)) == (b"1", b"2")


def test_connections_that_have_ended_leave_nothing_open(made: Rig, proxy: ProxyClient) -> None:
    proxy.update([route(1, 2)])
    descriptors = Path(f"/proc/{proxy.pid}/fd")
    with naming(made.listening(1), b"1"):
        names(made, 5)
        before = eventually(lambda: len(list(descriptors.iterdir())))
        names(made, 50)
        eventually(lambda: len(list(descriptors.iterdir())) <= before)
