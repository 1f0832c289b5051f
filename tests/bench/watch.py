"""A watch of EndpointSlices besides the subject's: it notes when the API server has sent a change to its watchers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from tests.bench import world

from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.http.client import Response, Timeouts
from proxyconfig_client.watch.lines import lines_of

_FOR_S = 3600


class _Metadata(msgspec.Struct, rename="camel"):
    name: str = ""
    resource_version: str = ""


class _Object(msgspec.Struct):
    metadata: _Metadata


class _Event(msgspec.Struct):
    object: _Object


class Watch:
    """Opened by `watching`."""

    def __init__(self) -> None:
        self._awaited: dict[str, asyncio.Future[float]] = {}

    def arrival(self, number: int) -> asyncio.Future[float]:
        """When the next change of this Service's slice arrives (monotonic seconds)."""
        future = asyncio.get_running_loop().create_future()
        self._awaited[world.slice_name(number)] = future
        return future

    async def follow(self, answer: Response) -> None:
        decode = msgspec.json.Decoder(_Event).decode
        async for line in lines_of(answer.blocks()):
            now_s = time.monotonic()
            future = self._awaited.pop(decode(line).object.metadata.name, None)
            if future is not None and not future.done():
                future.set_result(now_s)


@asynccontextmanager
async def watching(api: ApiClient) -> AsyncIterator[Watch]:
    """Give a watch that sees every change from now on."""
    path = path_of("discovery.k8s.io/v1", "endpointslices", namespace=world.NAMESPACE)
    listed = msgspec.json.decode(await api.get(path, query={"limit": "1"}), type=_Object)
    query = {"watch": "true", "resourceVersion": listed.metadata.resource_version, "timeoutSeconds": str(_FOR_S)}
    watch = Watch()
    async with api.open("GET", path, query=query, timeouts=Timeouts()) as answer:
        following = asyncio.create_task(watch.follow(answer))
        try:
            yield watch
        finally:
            following.cancel()
            await asyncio.wait([following])
