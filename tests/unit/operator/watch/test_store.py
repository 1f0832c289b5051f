"""What wakes the operator, and what does not."""

from __future__ import annotations

import msgspec
from tests.unit.operator.builders import config, node, pod, proxy

from proxyconfig_client.watch.objects import Key
from proxyconfig_operator.model.objects import Node
from proxyconfig_operator.watch.caches import STRAYS, Caches
from proxyconfig_operator.watch.store import Store


def test_a_heartbeat_is_no_change() -> None:
    told: list[tuple[Node | None, Node | None]] = []
    store: Store[Node] = Store(lambda old, new: told.append((old, new)))
    first = node("n1")
    again = msgspec.structs.replace(first, metadata=msgspec.structs.replace(first.metadata, resource_version="2"))
    other = node("n1", ready="False")

    for each in (first, again, other):
        store.put(each)
    store.drop(Key("", "n1"))
    store.drop(Key("", "n1"))

    assert told == [(None, first), (again, other), (other, None)]
    assert store.version == 3


def test_a_list_brings_what_the_watch_has_missed_and_nothing_older_than_what_is_here() -> None:
    store: Store[Node] = Store(lambda _old, _new: None)
    for name in ("same", "missed deletion", "missed change", "deleted meanwhile", "changed meanwhile"):
        store.put(at(1, name))
    known = dict(store.items)
    store.drop(Key("", "deleted meanwhile"))
    store.put(at(3, "changed meanwhile"))
    store.put(at(3, "new meanwhile"))

    store.merge(known, [at(1, "same"), at(2, "missed change"), at(1, "deleted meanwhile"), at(2, "changed meanwhile"), at(2, "missed")])

    versions = {name: item.metadata.resource_version for name, item in store.items.items()}
    assert versions == {"same": "1", "missed change": "2", "changed meanwhile": "3", "new meanwhile": "3", "missed": "2"}


def at(version: int, name: str) -> Node:
    made = node(name)
    return msgspec.structs.replace(made, metadata=msgspec.structs.replace(made.metadata, resource_version=str(version)))


def test_whom_a_change_concerns_is_woken() -> None:
    woken: list[str] = []
    caches = Caches(woken.append)
    caches.configs.put(config("x", priority=1))
    caches.configs.put(config("y", nodeSelector={"matchLabels": {"pool": "edge"}}))
    caches.nodes.put(node("n1"))

    woken.clear()
    caches.pods.put(pod("p1", "n1", "y"))
    assert set(woken) == {"y"}
    woken.clear()
    caches.proxies.put(proxy("n1", "y"))
    assert set(woken) == {"x", "y"}, "the one that it names, and the one that its node belongs to"
    woken.clear()
    caches.proxies.put(proxy("n2", "gone"))
    assert set(woken) == {STRAYS}
    woken.clear()
    caches.nodes.put(node("n2"))
    assert set(woken) == {STRAYS, "x", "y"}


def test_the_assignment_follows_every_change() -> None:
    caches = Caches(lambda _name: None)
    caches.configs.put(config("x"))
    caches.nodes.put(node("n1"))
    assert caches.assignment().winners == {"n1": "x"}
    assert caches.assignment() is caches.assignment()

    caches.nodes.put(node("n2"))
    assert caches.assignment().winners == {"n1": "x", "n2": "x"}

    caches.configs.drop(Key("", "x"))
    assert caches.assignment().unselected == ("n1", "n2")
