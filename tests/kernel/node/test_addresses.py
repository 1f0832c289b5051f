"""The node's addresses as a real kernel tells them, while they change."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.support.netns.namespace import Namespace, namespaces

from proxyconfig_agent.node.addresses import rtnetlink

pytestmark = pytest.mark.kernel


@pytest.fixture
def node() -> Iterator[Namespace]:
    with namespaces("node") as made:
        made["node"].ip(["link add eth0 type veth peer name eth1", "link set eth0 up", "link set eth1 up"])
        yield made["node"]


class Watch:
    """What `addresses.watch` yields in a namespace."""

    def __init__(self, settle_s: float) -> None:
        self.seen: queue.Queue[set[str]] = queue.Queue()
        self._settle_s = settle_s

    async def follow(self) -> None:
        async for found in rtnetlink.watch(self._settle_s):
            self.seen.put({str(each) for each in found if not each.is_link_local})

    def until(self, wanted: set[str]) -> int:
        """Wait for exactly these; return how many lists it took."""
        lists = 0
        while True:
            lists += 1
            if (last := self.seen.get(timeout=60)) == wanted:
                return lists
            assert lists < 10, f"saw {last}, not {wanted}"


@contextmanager
def watching(node: Namespace, settle_s: float = 0.05) -> Iterator[Watch]:
    watch, loop = Watch(settle_s), asyncio.new_event_loop()
    task: asyncio.Task[None] | None = None

    def run() -> None:
        nonlocal task
        task = loop.create_task(watch.follow())
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(task)
        loop.close()

    thread = threading.Thread(target=node.call, args=(run,))
    thread.start()
    try:
        yield watch
    finally:
        loop.call_soon_threadsafe(lambda: task and task.cancel())
        thread.join(10)


LOOPBACK = {"127.0.0.1/8", "::1/128"}


def test_addresses_are_followed_as_they_come_and_go(node: Namespace) -> None:
    with watching(node) as watch:
        watch.until(LOOPBACK)
        node.ip(["address add 192.0.2.1/24 dev eth0", "address add 2001:db8::1/64 dev eth0 nodad", "address add 192.0.2.2/24 dev eth0"])
        watch.until(LOOPBACK | {"192.0.2.1/24", "192.0.2.2/24", "2001:db8::1/64"})
        node.ip(["address del 192.0.2.2/24 dev eth0"])
        watch.until(LOOPBACK | {"192.0.2.1/24", "2001:db8::1/64"})
        node.ip(["link del eth0"])
        watch.until(LOOPBACK)


def test_a_burst_is_few_changes(node: Namespace) -> None:
    many = [f"192.0.2.{number}/32" for number in range(1, 255)]
    # One that writes 254 addresses takes its time where others have the processors: so long the changes of a burst may be apart.
    with watching(node, settle_s=2) as watch:
        watch.until(LOOPBACK)
        node.ip([f"address add {each} dev eth0" for each in many])
        assert watch.until(LOOPBACK | set(many)) < 8


def test_the_local_end_of_a_point_to_point_link_is_told(node: Namespace) -> None:
    node.ip(["address add 192.0.2.1 peer 192.0.2.9/32 dev eth0"])
    assert {str(each) for each in node.call(rtnetlink.read)} >= {"192.0.2.1/32"}


def test_more_addresses_than_fit_into_one_message_are_read_whole(node: Namespace) -> None:
    node.ip([f"address add 10.{number // 250}.{number % 250}.1/32 dev eth0" for number in range(2000)])
    assert sum(each.prefix == 32 for each in node.call(rtnetlink.read)) == 2000
