"""What kopf reports is noted, and kopf writes nothing and keeps nothing."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any, cast

import kopf
import pytest

from proxyconfig_api.objects.names import CONFIG_LABEL
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_operator.watch import kopf_handlers
from proxyconfig_operator.watch.caches import ORPHANS, Caches
from proxyconfig_operator.watch.observations import Observations

CONFIG: dict[str, Any] = {"metadata": {"name": "x", "uid": "u", "generation": 1, "resourceVersion": "5"}, "spec": {"mode": "nftables"}}
DAEMONSET: dict[str, Any] = {
    "metadata": {"name": "agent-x", "uid": "u", "resourceVersion": "6", "labels": {CONFIG_LABEL: "x"}},
    "spec": {"template": {"spec": {"containers": [{"name": "agent", "image": "registry.test/agent:1"}]}}},
}


class Rig:
    def __init__(self) -> None:
        self.woken: list[str] = []
        self.caches = Caches(self.woken.append, Observations(120))
        self.stopped = 0
        self.memo = kopf_handlers.Memo(self.caches, ClientConfig(server="http://127.0.0.1:1", token="secret"), self._stop)

    def _stop(self) -> None:
        self.stopped += 1

    def reports(self, handler: Callable[..., Any], kind: str | None, item: dict[str, Any]) -> None:
        """As kopf calls a handler; a result would be written into the object."""
        result = asyncio.run(handler(event={"type": kind, "object": item}, name=item["metadata"]["name"], memo=self.memo, logger=None))
        assert result is None


def called(handler: Callable[..., Any], **arguments: Any) -> None:
    """Call a handler of kopf with the arguments that it reads; kopf's types ask for all that there are."""
    asyncio.run(handler(**arguments))


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize("kind", [None, "ADDED", "MODIFIED"], ids=["listed", "added", "modified"])
def test_a_proxyconfig_is_noted_and_wakes_its_reconcile(rig: Rig, kind: str | None) -> None:
    rig.reports(kopf_handlers.proxyconfig_changed, kind, CONFIG)
    assert rig.caches.configs.items["x"].spec.mode == "nftables"
    assert set(rig.woken) == {ORPHANS, "x"}


def test_a_deleted_proxyconfig_is_forgotten(rig: Rig) -> None:
    rig.reports(kopf_handlers.proxyconfig_changed, "ADDED", CONFIG)
    rig.woken.clear()
    rig.reports(kopf_handlers.proxyconfig_changed, "DELETED", CONFIG)
    assert not rig.caches.configs.items
    assert ORPHANS in rig.woken, "its nodes are to be released"


def test_a_daemonset_wakes_the_reconcile_of_its_proxyconfig(rig: Rig) -> None:
    rig.reports(kopf_handlers.proxyconfig_changed, "ADDED", CONFIG)
    for kind, there in (("ADDED", ["agent-x"]), ("DELETED", [])):
        rig.woken.clear()
        rig.reports(kopf_handlers.daemonset_changed, kind, DAEMONSET)
        assert list(rig.caches.daemonsets.items) == there
        assert set(rig.woken) == {"x"}


def test_kopf_works_on_the_one_memo_though_it_copies_it_for_each_object(rig: Rig) -> None:
    assert copy.copy(rig.memo) is rig.memo


def test_kopf_is_kept_from_peering_posting_and_writing_on_objects(rig: Rig) -> None:
    settings = kopf.OperatorSettings()
    called(kopf_handlers.configure, settings=settings, memo=rig.memo)
    assert (settings.peering.standalone, settings.scanning.disabled, settings.posting.enabled) == (True, True, False)
    storage, patch = kopf_handlers.Nothing(), kopf.Patch()
    assert isinstance(settings.persistence.diffbase_storage, kopf_handlers.Nothing)
    assert isinstance(settings.persistence.progress_storage, kopf_handlers.Nothing)
    body = kopf.Body(cast("Any", CONFIG))
    storage.store(body=body, patch=patch, key="handler", record={}, essence={})
    storage.touch(body=body, patch=patch, value="now")
    storage.purge(body=body, patch=patch, key="handler")
    assert dict(patch) == {}
    assert storage.fetch(body=body, key="handler") is None


async def test_kopf_has_the_operators_server_and_token(rig: Rig) -> None:
    login: Callable[..., Any] = kopf_handlers.login
    session = await login(memo=rig.memo)
    assert isinstance(session, kopf.AiohttpSession)
    try:
        assert session.server == "http://127.0.0.1:1"
        assert session.aiohttp_session.headers["Authorization"] == "Bearer secret"
    finally:
        await session.aiohttp_session.close()
