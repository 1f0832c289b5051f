"""Writes the world to an API server, in bulk and one change at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tests.bench import world
from tests.bench.world import World

from proxyconfig_client.access import from_kubeconfig
from proxyconfig_client.connection import Connection, path_of
from proxyconfig_client.errors import ApiError

WRITERS = 16
CONFLICT, NOT_FOUND = 409, 404
DISCOVERY = "discovery.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Write:
    """A change that the API server has taken: when it was sent and when answered (monotonic seconds)."""

    sent_s: float
    answered_s: float


async def fill(kubeconfig: Path, written: World, new: Iterable[int]) -> None:
    """Create the Services with these numbers and their slices."""
    async with Connection(from_kubeconfig(kubeconfig), user_agent="bench") as api:
        await _created(api, path_of("v1", "namespaces"), {"metadata": {"name": world.NAMESPACE}})
        numbers = iter(new)
        await asyncio.gather(*(_fill(api, written, numbers) for _ in range(WRITERS)))


async def _fill(api: Connection, written: World, numbers: Iterator[int]) -> None:
    services = path_of("v1", "services", namespace=world.NAMESPACE)
    slices = path_of(DISCOVERY, "endpointslices", namespace=world.NAMESPACE)
    for number in numbers:
        await _created(api, services, world.service(number))
        await _created(api, slices, written.endpoint_slice(number))


async def place_node(kubeconfig: Path, address: str) -> None:
    """Have the measured Node, with this address, and as if it were new."""
    made = world.node(address)
    async with Connection(from_kubeconfig(kubeconfig), user_agent="bench") as api:
        try:
            await api.call("DELETE", path_of("v1", "nodes", world.NODE))
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
        await api.call("POST", path_of("v1", "nodes"), body=made)
        patch = {"status": made["status"]}
        path = path_of("v1", "nodes", world.NODE, subresource="status")
        await api.call("PATCH", path, body=patch, content_type="application/merge-patch+json")


class Writer:
    """Replaces endpoints, one write at a time, over one connection that stays open."""

    def __init__(self, api: Connection, written: World) -> None:
        self._api = api
        self._world = written

    @property
    def next_address(self) -> str:
        return self._world.next_address

    async def replace_endpoint(self, number: int) -> Write:
        """Replace one endpoint of the Service with this number."""
        self._world.replace_endpoint(number)
        body = msgspec.json.encode(self._world.endpoint_slice(number))
        path = path_of(DISCOVERY, "endpointslices", world.slice_name(number), namespace=world.NAMESPACE)
        sent_s = time.monotonic()
        async with self._api.open("PUT", path, body=body) as response:
            answered_s = time.monotonic()
            await response.read()
        return Write(sent_s, answered_s)


async def _created(api: Connection, path: str, item: dict[str, Any]) -> None:
    try:
        await api.call("POST", path, body=item)
    except ApiError as error:
        if error.status != CONFLICT:
            raise
