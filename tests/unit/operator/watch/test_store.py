"""What wakes the operator, and what does not."""

from __future__ import annotations

import msgspec
from tests.unit.operator.builders import config, node, pod, proxy

from proxyconfig_client.watch.objects import Key
from proxyconfig_operator.model.objects import Node
from proxyconfig_operator.watch.caches import ORPHANS, Caches
from proxyconfig_operator.watch.observations import Observations
from proxyconfig_operator.watch.store import Store


def test_a_heartbeat_is_no_change() -> None:
    told: list[tuple[Node | None, Node | None]] = []
    store: Store[Node] = Store(lambda old, new: told.append((old, new)))
    first = node("n1")
    again = msgspec.structs.replace(first, metadata=msgspec.structs.replace(first.metadata, resource_version="2"))
    other = node("n1", ready="False")

    for each in (first, again, other):
        store.on_upsert(each)
    store.on_delete(Key("", "n1"))
    store.on_delete(Key("", "n1"))

    assert told == [(None, first), (again, other), (other, None)]
    assert store.version == 3


def test_a_list_brings_what_the_watch_has_missed_and_nothing_older_than_what_is_here() -> None:
    store: Store[Node] = Store(lambda _old, _new: None)
    for name in ("same", "missed deletion", "missed change", "deleted meanwhile", "changed meanwhile"):
        store.on_upsert(at(1, name))
    known = dict(store.items)
    store.on_delete(Key("", "deleted meanwhile"))
    store.on_upsert(at(3, "changed meanwhile"))
    store.on_upsert(at(3, "new meanwhile"))

    store.merge(known, [at(1, "same"), at(2, "missed change"), at(1, "deleted meanwhile"), at(2, "changed meanwhile"), at(2, "missed")])

    versions = {name: item.metadata.resource_version for name, item in store.items.items()}
    assert versions == {"same": "1", "missed change": "2", "changed meanwhile": "3", "new meanwhile": "3", "missed": "2"}


def test_a_list_of_a_restored_cluster_is_believed_though_its_versions_are_lower() -> None:
    store: Store[Node] = Store(lambda _old, _new: None)
    store.on_upsert(at(1200, "changed after the backup"))
    store.on_upsert(at(1100, "made after the backup"))

    store.merge(dict(store.items), [at(1002, "changed after the backup")])

    assert {name: item.metadata.resource_version for name, item in store.items.items()} == {"changed after the backup": "1002"}


def at(version: int, name: str) -> Node:
    made = node(name)
    return msgspec.structs.replace(made, metadata=msgspec.structs.replace(made.metadata, resource_version=str(version)))


def test_whom_a_change_concerns_is_woken() -> None:
    woken: list[str] = []
    caches = Caches(woken.append, Observations(120))
    caches.configs.on_upsert(config("x", priority=1))
    caches.configs.on_upsert(config("y", nodeSelector={"matchLabels": {"pool": "edge"}}))
    caches.nodes.on_upsert(node("n1"))
    caches.assignment()  # as every pass does, and all have been woken for one

    woken.clear()
    caches.pods.on_upsert(pod("p1", "n1", "y"))
    assert set(woken) == {"y"}
    woken.clear()
    caches.proxies.on_upsert(proxy("n1", "y"))
    assert set(woken) == {"x", "y"}, "the one that it names, and the one that its node belongs to"
    woken.clear()
    caches.proxies.on_upsert(proxy("n2", "gone"))
    assert set(woken) == {ORPHANS}
    woken.clear()
    caches.nodes.on_upsert(node("n2"))
    assert set(woken) == {ORPHANS, "x", "y"}


def test_the_assignment_follows_every_change() -> None:
    caches = Caches(lambda _name: None, Observations(120))
    caches.configs.on_upsert(config("x"))
    caches.nodes.on_upsert(node("n1"))
    assert caches.assignment().winners == {"n1": "x"}
    assert caches.assignment() is caches.assignment()

    caches.nodes.on_upsert(node("n2"))
    assert caches.assignment().winners == {"n1": "x", "n2": "x"}

    caches.configs.on_delete(Key("", "x"))
    assert caches.assignment().unselected == ("n1", "n2")
