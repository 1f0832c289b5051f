"""Which changes share a transaction."""

from __future__ import annotations

from msgspec.structs import replace
from tests.unit.agent.dataplane.nftables.frontends import frontends

from proxyconfig_agent.dataplane.port import Change
from proxyconfig_agent.dataplane.sync.batching import BATCH, batches, size_of
from proxyconfig_agent.select.frontends import Frontends


def service(number: int) -> Frontends:
    return frontends(f"s{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")


def test_no_change_is_no_transaction() -> None:
    assert list(batches([])) == []


def test_few_changes_are_one_transaction() -> None:
    changes = [Change(None, service(number)) for number in range(BATCH)]
    assert list(batches(changes)) == [changes]


def test_many_endpoint_changes_are_several() -> None:
    changes = [Change(service(number), replace(service(number), affinity_s=60)) for number in range(2 * BATCH + 1)]
    made = list(batches(changes))
    assert [len(batch) for batch in made] == [BATCH, BATCH, 1]
    assert [change for batch in made for change in batch] == changes


def test_whoever_moves_an_address_is_in_the_first() -> None:
    staying = [Change(service(number), replace(service(number), affinity_s=60)) for number in range(BATCH)]
    gone, come = Change(service(BATCH), None), Change(None, service(BATCH + 1))
    first, second = batches([gone, *staying, come])
    assert first[:2] == [gone, come]
    assert len(second) == 2


def test_the_last_change_of_a_port_counts() -> None:
    first, second, third = service(1), replace(service(1), affinity_s=1), replace(service(1), affinity_s=2)
    assert list(batches([Change(first, second), Change(second, third)])) == [[Change(first, third)]]


def test_the_size_of_changes_grows_with_their_endpoints() -> None:
    few, many = (frontends("s", "10.0.0.1", tuple(f"10.1.{each >> 8}.{each & 255}:80" for each in range(number))) for number in (3, 1000))
    assert [size_of([change]) for change in (Change(None, few), Change(few, None), Change(few, many))] == [4, 4, 1001]
    assert size_of([Change(None, few), Change(few, many)]) == 1005
