"""Commands and answers of IPVS on a kernel that has it: what is sent is what is read."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest
from tests.support.netns.namespace import Namespace, namespaces

from proxyconfig_agent.netlink import uapi
from proxyconfig_agent.netlink.ipvs import listing, messages
from proxyconfig_agent.netlink.ipvs.batches import Refusal
from proxyconfig_agent.netlink.ipvs.connection import Connection
from proxyconfig_agent.netlink.ipvs.messages import Destination, Load, Scheduling, Timeouts, VirtualServer

TAG = 0x50580000
V4, V6 = socket.inet_aton("10.96.0.10"), socket.inet_pton(socket.AF_INET6, "fd00:96::10")
POD4, POD6 = socket.inet_aton("10.244.1.11"), socket.inet_pton(socket.AF_INET6, "fd00:244:1::11")
PROTOCOLS = (socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_SCTP)
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "mh", "sed", "nq", "fo", "ovf", "twos")
SERVER = VirtualServer(socket.IPPROTO_TCP, V4, 80)
ABSENT = VirtualServer(socket.IPPROTO_TCP, V4, 81)
BACKEND = Destination(POD4, 8080)


@pytest.fixture
def space() -> Iterator[Namespace]:
    with namespaces("ipvs") as made:
        yield made["ipvs"]


@pytest.fixture
def connection(space: Namespace) -> Iterator[Connection]:
    made = space.call(Connection)
    yield made
    made.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("address", "pod"), [(V4, POD4), (V6, POD6)], ids=["IPv4", "IPv6"])
def test_what_is_sent_is_what_is_read(space: Namespace, connection: Connection, protocol: int, address: bytes, pod: bytes) -> None:
    plain, sticky = VirtualServer(protocol, address, 80), VirtualServer(protocol, address, 443)
    wanted = {plain: Scheduling("wrr", TAG), sticky: Scheduling("sh", TAG | uapi.IP_VS_SVC_F_PERSISTENT, 10800)}
    weights = {Destination(pod, 8080): 1, Destination(pod, 8081): 0, Destination(pod, 8082): messages.MAX_WEIGHT}
    commands = [messages.new_service(server, scheduling) for server, scheduling in wanted.items()]
    commands += [messages.new_destination(plain, destination, weight) for destination, weight in weights.items()]
    assert connection.commit(commands) == []
    assert connection.services() == wanted
    loads = {key: Load(weight, 0, 0) for key, weight in weights.items()}
    assert space.call(listing.read) == {plain: loads, sticky: {}}
    assert [connection.destinations(server) for server in (plain, sticky, ABSENT)] == [loads, {}, {}]


def test_a_change_keeps_what_it_does_not_name(space: Namespace, connection: Connection) -> None:
    assert connection.commit([messages.new_service(SERVER, Scheduling("rr", TAG)), messages.new_destination(SERVER, BACKEND, 1)]) == []
    changed = Scheduling("lc", TAG | uapi.IP_VS_SVC_F_PERSISTENT, 60)
    assert connection.commit([messages.set_service(SERVER, changed), messages.set_destination(SERVER, BACKEND, 0)]) == []
    assert connection.services() == {SERVER: changed}
    assert space.call(listing.read) == {SERVER: {BACKEND: Load(0, 0, 0)}}


def test_what_is_deleted_is_gone(space: Namespace, connection: Connection) -> None:
    assert connection.commit([messages.new_service(SERVER, Scheduling("rr")), messages.new_destination(SERVER, BACKEND, 1)]) == []
    assert connection.commit([messages.delete_destination(SERVER, BACKEND)]) == []
    assert space.call(listing.read) == {SERVER: {}}
    assert connection.commit([messages.delete_service(SERVER)]) == []
    assert connection.services() == {}


def test_each_refusal_names_its_command_and_the_others_are_done(space: Namespace, connection: Connection) -> None:
    refused = connection.commit(
        [
            messages.new_service(SERVER, Scheduling("rr")),
            messages.new_service(SERVER, Scheduling("rr")),
            messages.new_service(ABSENT, Scheduling("unknown")),
            messages.set_destination(SERVER, BACKEND, 1),
            messages.new_destination(ABSENT, BACKEND, 1),
            messages.new_destination(SERVER, BACKEND, messages.MAX_WEIGHT + 1),
            messages.new_destination(SERVER, Destination(POD6, 8080), 1),
            messages.new_destination(SERVER, BACKEND, 1),
            messages.new_destination(SERVER, BACKEND, 1),
        ]
    )
    numbers = {1: errno.EEXIST, 2: errno.ENOENT, 3: errno.ENOENT, 4: errno.ESRCH, 5: errno.ERANGE, 6: errno.EINVAL, 8: errno.EEXIST}
    assert refused == [Refusal(index, number) for index, number in numbers.items()]
    assert space.call(listing.read) == {SERVER: {BACKEND: Load(1, 0, 0)}}


def test_refusals_of_several_batches_are_counted_through(connection: Connection) -> None:
    refused = connection.commit([messages.delete_service(ABSENT)] * 2000)
    assert refused == [Refusal(index, errno.ESRCH) for index in range(2000)]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_each_scheduler_keeps_the_high_bits_of_the_flags(connection: Connection, scheduler: str) -> None:
    wanted = {SERVER: Scheduling(scheduler, TAG), ABSENT: Scheduling(scheduler, TAG | uapi.IP_VS_SVC_F_PERSISTENT, 60)}
    assert connection.commit(messages.new_service(server, scheduling) for server, scheduling in wanted.items()) == []
    assert connection.services() == wanted


def test_a_timeout_of_zero_leaves_it_as_it_is(connection: Connection) -> None:
    assert connection.timeouts() == Timeouts(tcp_s=900, tcp_fin_s=120, udp_s=300)
    assert connection.commit([messages.set_timeouts(Timeouts(udp_s=77))]) == []
    assert connection.timeouts() == Timeouts(tcp_s=900, tcp_fin_s=120, udp_s=77)


def test_a_connection_speaks_of_its_own_network_namespace(connection: Connection) -> None:
    with namespaces("other") as made:
        other = made["other"].call(Connection)
        assert other.commit([messages.new_service(SERVER, Scheduling("rr"))]) == []
        assert connection.services() == {}
        other.close()
