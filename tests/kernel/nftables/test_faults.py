"""The kernel says no: one Service, everything, or a whole family."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace
from tests.kernel.nftables.examples import SETTINGS, every_kind, many
from tests.kernel.nftables.faulty import FaultyConnection, mentioning, nothing, of_family
from tests.support.netns.namespace import Namespace
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip, port_name

from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.port import Change, DataplaneError
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.select.frontends import Frontends

pytestmark = pytest.mark.kernel


@pytest.fixture
def faulty(node: Namespace) -> Iterator[FaultyConnection]:
    connection = node.call(FaultyConnection, nothing)
    yield connection
    connection.close()


@pytest.fixture
def dataplane(faulty: FaultyConnection) -> Nftables:
    return Nftables(faulty)


def others(ports: list[Frontends], refused: str) -> list[Frontends]:
    return [port for port in ports if port.name.service.name != refused]


def test_at_a_cold_start_one_service_is_refused_and_the_rest_is_in(
    dataplane: Nftables, faulty: FaultyConnection, start: Callable[[], Nftables]
) -> None:
    faulty.fault = mentioning(b"shop/nodeport:http\0")
    ports = every_kind()
    outcome = dataplane.resync(SETTINGS, ports)
    assert [str(refusal.service) for refusal in outcome.refused] == ["shop/nodeport"]
    assert "Cannot allocate memory (ENOMEM)" in outcome.refused[0].reason
    assert start().resync(SETTINGS, others(ports, "nodeport")).operations == 0


def test_in_a_repair_one_service_is_refused_and_the_rest_is_in(
    dataplane: Nftables, faulty: FaultyConnection, start: Callable[[], Nftables]
) -> None:
    ports = every_kind()
    start().resync(SETTINGS, ports[:3])
    faulty.fault = mentioning(b"shop/sticky:http\0")
    outcome = dataplane.resync(SETTINGS, ports)
    assert [str(refusal.service) for refusal in outcome.refused] == ["shop/sticky"]
    assert start().resync(SETTINGS, others(ports, "sticky")).operations == 0


def test_what_a_refused_service_shares_stays_for_the_others(
    dataplane: Nftables, faulty: FaultyConnection, start: Callable[[], Nftables]
) -> None:
    near = ip("10.244.0.1")
    first = frontends("first", "10.96.0.1", ("10.244.0.1:80",), on_node=(near,))
    second = frontends("second", "10.96.0.2", ("10.244.0.1:81",), on_node=(near,))
    faulty.fault = mentioning(b"shop/first:http\0")
    assert len(dataplane.resync(SETTINGS, [first, second]).refused) == 1
    faulty.fault = nothing
    assert start().resync(SETTINGS, [second]).operations == 0
    assert not dataplane.apply([Change(None, first)]).refused
    assert start().resync(SETTINGS, [first, second]).operations == 0


def test_a_service_refused_while_the_next_transaction_was_put_together_is_taken_out_alone(
    dataplane: Nftables, faulty: FaultyConnection, start: Callable[[], Nftables]
) -> None:
    near = (ip("10.244.0.1"),)
    ports = [replace(port, on_node=near) if number in (100, 900) else port for number, port in enumerate(many(1000, 10))]
    faulty.fault = mentioning(b"bench/service-100:http\0")
    outcome = dataplane.resync(SETTINGS, ports)
    assert [str(refusal.service) for refusal in outcome.refused] == ["bench/service-100"]
    assert start().resync(SETTINGS, others(ports, "service-100")).operations == 0


def test_what_no_service_is_to_blame_for_fails_the_sync_and_the_next_one_is_complete(
    dataplane: Nftables, faulty: FaultyConnection, start: Callable[[], Nftables]
) -> None:
    ports = list(many(1000, 10))
    faulty.fault = mentioning(b"pick-10\0")
    with pytest.raises(DataplaneError):
        dataplane.resync(SETTINGS, ports)
    faulty.fault = nothing
    dataplane.resync(SETTINGS, ports)
    assert start().resync(SETTINGS, ports).operations == 0


def test_a_change_that_is_refused_takes_the_service_out_and_leaves_the_others_in(
    dataplane: Nftables, faulty: FaultyConnection, start: Callable[[], Nftables]
) -> None:
    ports = others(every_kind(), "udp")
    dataplane.resync(SETTINGS, ports)
    faulty.fault = mentioning(ip("192.0.2.77"))
    changes = [Change(port, replace(port, affinity_s=60)) for port in ports if port.name.service.name == "local"]
    (plain,) = (port for port in ports if port.name == port_name("plain") and port.cluster_ip == ip("10.96.0.1"))
    changes.append(Change(plain, replace(plain, external_ips=(ip("192.0.2.77"),))))
    outcome = dataplane.apply(changes)
    assert [str(refusal.service) for refusal in outcome.refused] == ["shop/plain"]
    now = [replace(port, affinity_s=60) if port.name.service.name == "local" else port for port in others(ports, "plain")]
    assert start().resync(SETTINGS, now).operations == 0


def test_when_nothing_can_be_committed_the_error_has_the_kernels_words_and_a_resync_recovers(
    dataplane: Nftables, faulty: FaultyConnection, start: Callable[[], Nftables]
) -> None:
    ports = every_kind()
    faulty.fault = mentioning(b"")
    with pytest.raises(DataplaneError, match=r"Cannot allocate memory \(ENOMEM\)"):
        dataplane.resync(SETTINGS, ports)
    faulty.fault = nothing
    assert dataplane.disturbed()
    dataplane.resync(SETTINGS, ports)
    faulty.fault = mentioning(b"")
    with pytest.raises(DataplaneError, match="a full resync repairs it"):
        dataplane.apply([Change(ports[0], replace(ports[0], affinity_s=60))])
    faulty.fault = nothing
    assert dataplane.disturbed()
    dataplane.resync(SETTINGS, ports)
    assert start().resync(SETTINGS, ports).operations == 0


@pytest.mark.parametrize("reached", [0, 10, 420, 840, 1499])
def test_a_cold_start_that_dies_anywhere_is_finished_by_the_next(dataplane: Nftables, start: Callable[[], Nftables], reached: int) -> None:
    ports = list(many(1500, 10))

    def dying() -> Iterator[Frontends]:
        yield from ports[:reached]
        raise InterruptedError

    with pytest.raises(InterruptedError):
        dataplane.resync(SETTINGS, dying())
    assert dataplane.disturbed()
    assert start().resync(SETTINGS, ports).operations > 0
    assert start().resync(SETTINGS, ports).operations == 0


@pytest.mark.parametrize("octets", [b"", b"fib\0", b"reject\0"], ids=["tables", "fib", "reject"])
def test_a_kernel_that_lacks_something_for_ipv6_serves_ipv4(
    node: Namespace, dataplane: Nftables, faulty: FaultyConnection, octets: bytes
) -> None:
    faulty.fault = of_family(10, octets)
    found = dataplane.probe()
    assert (found.features["IPv4"], found.features["IPv6"].partition(":")[0]) == ("available", "missing")
    assert list(found.unserved) == [Family.IPV6]
    assert not dataplane.resync(SETTINGS, every_kind()).refused
    port = every_kind()[-1]
    assert dataplane.apply([Change(port, None)]).operations == 0
    assert dataplane.scan()[0] == "table ip proxyconfig"
    assert "table ip6" not in node.run("nft", "list", "tables")


def test_a_kernel_without_tables_of_either_family_is_named(dataplane: Nftables, faulty: FaultyConnection) -> None:
    faulty.fault = mentioning(b"", 95)
    with pytest.raises(DataplaneError, match=r"lacks tables .*CONFIG_NF_TABLES_IPV4\) for IPv4.*CONFIG_NF_TABLES_IPV6\) for IPv6"):
        dataplane.probe()


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        pytest.param(b"numgen\0", r"random numbers \(Linux 4.9 and later, CONFIG_NFT_NUMGEN\) for IPv4", id="numgen"),
        pytest.param(b"fib\0", r"address types \(Linux 4.10 and later, CONFIG_NFT_FIB_IPV4\) for IPv4", id="fib"),
        pytest.param(b"source-ranges\0", r"concatenated ranges \(Linux 5.6 and later", id="concatenated-ranges"),
    ],
)
def test_a_missing_feature_is_named_with_the_kernel_that_has_it(
    dataplane: Nftables, faulty: FaultyConnection, octets: bytes, words: str
) -> None:
    faulty.fault = mentioning(octets, 2)
    with pytest.raises(DataplaneError, match=words):
        dataplane.probe()


def test_trouble_that_says_nothing_about_features_takes_no_family_away(dataplane: Nftables, faulty: FaultyConnection) -> None:
    faulty.fault = of_family(10, b"", errno.ENOMEM)
    with pytest.raises(DataplaneError, match=r"cannot be probed.*\(ENOMEM\)"):
        dataplane.probe()
    faulty.fault = nothing
    assert not dataplane.probe().unserved
