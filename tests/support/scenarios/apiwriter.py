"""Objects of scenarios in an API server: applied server-side, deleted and listed over connections of our own.

A kubectl for each of these would compute for longer than the proxies under test do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from tests.support.polling import eventually
from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object

from proxyconfig_client.apiserver.apply import apply
from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.connection.errors import ClientError, is_missing

WITHIN_S = 60
AT_ONCE = 8
MANAGER = "scenarios"
VERSIONS = {"Namespace": "v1", "Node": "v1", "Service": "v1", "EndpointSlice": "discovery.k8s.io/v1"}
LISTED = ("Service", "EndpointSlice")
Request = Callable[[ApiClient], Awaitable[bytes]]


class ApiWriter:
    """Writes objects, a few at once. A busy API server answers some requests with a time-out: what failed is repeated for a minute."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config

    def apply(self, objects: Iterable[Object]) -> None:
        """Write objects, in no order, and then the status of those that have one."""
        listed = list(objects)
        self._do(_application(one) for one in listed)
        self._do(_application(one, "status") for one in listed if "status" in one)

    def apply_in_order(self, objects: Iterable[Object]) -> None:
        """Write objects one after the other, over one connection: watches keep the order."""
        self._do([_applications(list(objects))])

    def place_node(self, node: Object) -> None:
        """Write a Node, and merge its status: server-side apply refuses two addresses of one type."""
        path, body = _path_of(node, "status"), {"status": node["status"]}
        self.apply([{key: part for key, part in node.items() if key != "status"}])
        self._do([lambda api: api.call("PATCH", path, body=body, content_type="application/merge-patch+json")])

    def replace(self, before: Mapping[Key, Object], after: Mapping[Key, Object]) -> None:
        """Write what differs, and delete what is gone. A Service with another cluster IP is made anew, as the API asks for it."""
        moved = {key for key, one in after.items() if key in before and _moves(before[key], one)}
        self._do(_deletion(_path(*key)) for key in before.keys() - after.keys() | moved)
        self.apply(one for key, one in after.items() if before.get(key) != one)

    def everything(self) -> dict[Key, Object]:
        """Return all Services and EndpointSlices, those that the API server made itself, too."""
        bodies = self._do(_listing(kind) for kind in LISTED)
        listed = [{"kind": kind, **one} for kind, body in zip(LISTED, bodies, strict=True) for one in msgspec.json.decode(body)["items"]]
        return {(one["kind"], one["metadata"]["namespace"], one["metadata"]["name"]): one for one in listed}

    def _do(self, requests: Iterable[Request]) -> list[bytes]:
        listed = list(requests)
        return eventually(lambda: asyncio.run(self._answers(listed)), within_s=WITHIN_S, every_s=1, until=lambda _: True)

    async def _answers(self, requests: Iterable[Request]) -> list[bytes]:
        """Return the bodies when all have an answer: one request may free the port of another. Raises AssertionError if one failed."""
        free = asyncio.Semaphore(AT_ONCE)

        async def answer(request: Request) -> bytes:
            async with free:
                return await request(api)

        async with ApiClient(self._config, user_agent=MANAGER) as api:
            answers = await asyncio.gather(*map(answer, requests), return_exceptions=True)
        failed = [each for each in answers if isinstance(each, BaseException)]
        if unexpected := [each for each in failed if not isinstance(each, ClientError | OSError)]:
            raise unexpected[0]
        assert not failed, f"{len(failed)} of {len(answers)} requests failed, the first with: {failed[0]}"
        return [each for each in answers if isinstance(each, bytes)]


def _application(one: Object, subresource: str = "") -> Request:
    return lambda api: apply(api, _path_of(one, subresource), one, manager=MANAGER)


def _applications(objects: Sequence[Object]) -> Request:
    async def write(api: ApiClient) -> bytes:
        for one in objects:
            await _application(one)(api)
        return b""

    return write


def _deletion(path: str) -> Request:
    async def delete(api: ApiClient) -> bytes:
        try:
            return await api.call("DELETE", path)
        except ClientError as error:
            if is_missing(error):
                return b""
            raise

    return delete


def _listing(kind: str) -> Request:
    return lambda api: api.get(_path(kind, ""))


def _path_of(one: Object, subresource: str = "") -> str:
    metadata: dict[str, Any] = one["metadata"]
    return _path(one["kind"], metadata.get("namespace", ""), metadata["name"], subresource)


def _path(kind: str, namespace: str, name: str = "", subresource: str = "") -> str:
    return path_of(VERSIONS[kind], f"{kind.lower()}s", name, namespace=namespace, subresource=subresource)


def _moves(before: Object, after: Object) -> bool:
    old, new = (one.get("spec", {}).get("clusterIPs") for one in (before, after))
    return bool(old and new and old != new)
