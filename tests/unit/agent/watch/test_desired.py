from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.support.polling import soon

from proxyconfig_agent.state.findings import Finding
from proxyconfig_agent.watch import desired
from proxyconfig_agent.watch.desired import Desired, FileSource, NodeProxySource
from proxyconfig_api.objects.names import API_VERSION
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_api.values.duration import Duration
from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.connection.errors import ConfigurationError

REVISIONS = "/apis/apps/v1/namespaces/proxyconfig-system/controllerrevisions/"
Json = dict[str, Any]


class Told:
    """What an agent was given."""

    def __init__(self) -> None:
        self.desired: list[Desired] = []
        self.trouble: list[Finding | None] = []


class Operator:
    """The NodeProxy of a node and the revisions, as the API has them."""

    def __init__(self) -> None:
        self.revisions: dict[str, Json] = {}
        self.proxy: Json | None = None
        self._version = 10
        self._news = asyncio.Condition()

    async def order(self, revision: str, action: str = "Apply") -> None:
        async with self._news:
            self._version += 1
            metadata = {"name": "here", "generation": self._version, "resourceVersion": str(self._version)}
            self.proxy = {"metadata": metadata, "spec": {"configName": "pool", "revisionName": revision, "action": action}}
            self._news.notify_all()

    async def proxies(self, request: web.Request) -> web.StreamResponse:
        assert request.query["fieldSelector"] == "metadata.name=here"
        response = web.StreamResponse()
        await response.prepare(request)
        if self.proxy:
            await response.write(json.dumps({"type": "ADDED", "object": self.proxy}).encode() + b"\n")
        end = {"resourceVersion": str(self._version), "annotations": {"k8s.io/initial-events-end": "true"}}
        await response.write(json.dumps({"type": "BOOKMARK", "object": {"metadata": end}}).encode() + b"\n")
        seen = self._version
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while True:
                async with self._news:
                    while self._version == seen:
                        await self._news.wait()
                    seen = self._version
                await response.write(json.dumps({"type": "MODIFIED", "object": self.proxy}).encode() + b"\n")
        return response

    async def revision(self, request: web.Request) -> web.Response:
        content = self.revisions.get(request.match_info["name"])
        return web.json_response({"data": content}) if content is not None else web.Response(status=404)


@contextlib.asynccontextmanager
async def ordered(operator: Operator) -> AsyncIterator[Told]:
    app = web.Application()
    app.router.add_get(f"/apis/{API_VERSION}/nodeproxies", operator.proxies)
    app.router.add_get(REVISIONS + "{name}", operator.revision)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    told = Told()
    async with ApiClient(ClientConfig(f"http://127.0.0.1:{runner.addresses[0][1]}"), user_agent="test") as connection:
        task = asyncio.create_task(NodeProxySource(connection, "here", told.desired.append, told.trouble.append).run())
        try:
            yield told
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await runner.cleanup()


async def test_a_nodeproxy_names_the_revision_to_apply() -> None:
    operator = Operator()
    operator.revisions["pool-1"] = {"spec": {"masquerade": {"all": True}}}
    await operator.order("pool-1")
    async with ordered(operator) as told:
        await soon(lambda: told.desired)
        (order,) = told.desired
        assert (order.spec.masquerade.all, order.revision, order.generation, order.remove) == (True, "pool-1", 11, False)


async def test_a_change_of_the_nodeproxy_is_followed_and_its_status_is_not() -> None:
    operator = Operator()
    operator.revisions = {"pool-1": {"spec": {}}, "pool-2": {"spec": {"sync": {"minSyncPeriod": "2s"}}}}
    await operator.order("pool-1")
    async with ordered(operator) as told:
        await soon(lambda: told.desired)
        await operator.order("pool-1")
        await operator.order("pool-2")
        await soon(lambda: len(told.desired) == 2)
        await operator.order("pool-2", action="Remove")
        await soon(lambda: len(told.desired) == 3)
        assert [(order.revision, order.remove) for order in told.desired] == [("pool-1", False), ("pool-2", False), ("pool-2", True)]
        assert not told.desired[-1].give_back
        await operator.order("pool-2", action="GiveBack")
        await soon(lambda: len(told.desired) == 4)
        assert (told.desired[-1].remove, told.desired[-1].give_back) == (False, True)
        assert told.desired[-1].spec.sync.min_sync_period == Duration(2)


async def test_a_node_is_given_back_although_its_revision_has_gone_with_its_proxyconfig() -> None:
    operator = Operator()
    await operator.order("pool-1", action="GiveBack")
    async with ordered(operator) as told:
        await soon(lambda: told.desired)
        assert (told.desired[-1].give_back, told.desired[-1].spec) == (True, ProxyConfigSpec())


async def test_a_revision_that_is_not_there_yet_is_waited_for() -> None:
    operator = Operator()
    await operator.order("pool-1")
    async with ordered(operator) as told:
        await soon(lambda: told.trouble)
        assert told.trouble[0] is not None
        assert told.trouble[0].reason == "RevisionUnreadable"
        operator.revisions["pool-1"] = {"spec": {}}
        await soon(lambda: told.desired)
        assert told.trouble[-1] is None


async def test_fields_of_a_newer_revision_are_named_and_the_rest_is_applied() -> None:
    operator = Operator()
    operator.revisions["pool-1"] = {"spec": {"masquerade": {"all": True, "evenMore": 1}, "mood": "good"}}
    operator.revisions["pool-2"] = {"spec": {}}
    await operator.order("pool-1")
    async with ordered(operator) as told:
        await soon(lambda: told.desired)
        assert told.desired[0].spec.masquerade.all
        finding = told.trouble[-1]
        assert finding is not None
        assert finding.reason == "UnknownFields"
        assert "ControllerRevision pool-1: spec.masquerade.evenMore, spec.mood; update the agent" in finding.message
        await operator.order("pool-2")
        await soon(lambda: len(told.desired) == 2)
        assert told.trouble[-1] is None


async def test_a_nodeproxy_that_cannot_be_decoded_is_told_and_the_last_order_stays() -> None:
    operator = Operator()
    operator.revisions["pool-1"] = {"spec": {}}
    await operator.order("pool-1")
    async with ordered(operator) as told:
        await soon(lambda: told.desired)
        await operator.order("pool-1", action="Hibernate")
        await soon(lambda: told.trouble[-1] is not None)
        finding = told.trouble[-1]
        assert finding is not None
        assert finding.reason == "NodeProxyUndecodable"
        assert "NodeProxy here cannot be decoded: Invalid enum value 'Hibernate'" in finding.message
        assert len(told.desired) == 1
        await operator.order("pool-1")
        await soon(lambda: told.trouble[-1] is None)


async def test_a_removal_needs_no_revision() -> None:
    """An agent that starts when its ProxyConfig is gone, and with it the revision, still has rules to remove."""
    operator = Operator()
    await operator.order("gone", action="Remove")

    async with ordered(operator) as told:
        await soon(lambda: told.desired)
    assert (told.desired[0].remove, told.desired[0].revision, told.trouble[-1]) == (True, "gone", None)


async def test_a_revision_that_makes_no_sense_leaves_the_last_one_in_effect() -> None:
    operator = Operator()
    operator.revisions = {"pool-1": {"spec": {}}, "pool-2": {"spec": {"mode": "ebpf"}}}
    await operator.order("pool-1")
    async with ordered(operator) as told:
        await soon(lambda: told.desired)
        await operator.order("pool-2")
        await soon(lambda: any(told.trouble))
        assert len(told.desired) == 1
        assert "ControllerRevision pool-2 cannot be used: " in str(told.trouble[-1])


def manifest(spec: str = "{}") -> str:
    return f"apiVersion: proxyconfig.dev/v1alpha1\nkind: ProxyConfig\nmetadata: {{name: x}}\nspec: {spec}\n"


def write(path: Path, content: str, at_s: int) -> None:
    """With another time than before: the clock of file systems may stand still between two writes."""
    path.write_text(content)
    os.utime(path, (at_s, at_s))


async def test_a_file_is_read_and_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desired, "LOOK_S", 0.01)
    path, told = tmp_path / "config.yaml", Told()
    write(path, manifest(), 1)
    task = asyncio.create_task(FileSource(path, told.desired.append, told.trouble.append).run())
    await soon(lambda: told.desired)
    assert told.desired[0].spec == ProxyConfigSpec()
    write(path, manifest("{mode: nonsense}"), 2)
    await soon(lambda: any(told.trouble))
    write(path, manifest("{masquerade: {all: true}}"), 3)
    await soon(lambda: len(told.desired) == 2)
    assert told.desired[1].spec.masquerade.all
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        pytest.param(None, "cannot read the configuration", id="missing"),
        pytest.param("[", "is not YAML", id="no-yaml"),
        pytest.param("- a", "is not a ProxyConfig manifest", id="no-mapping"),
        pytest.param(manifest("{mode: nonsense}"), r"is not valid: .*mode", id="invalid"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path: Path, content: str | None, sentence: str) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=sentence) as refusal:
        FileSource(path, lambda _: None, lambda _: None).read()
    assert "\n" not in str(refusal.value)
