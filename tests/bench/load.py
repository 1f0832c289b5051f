"""Writes the world to an API server, in bulk and one change at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tests.bench import world
from tests.bench.bulk import Etcd, Originals, copies
from tests.bench.world import World
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError

from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.connection.config import from_kubeconfig
from proxyconfig_client.connection.errors import ApiError

NOT_FOUND, CONFLICT, NOT_YET = 404, 409, 504
ATTEMPTS = 60
SERVICES = path_of("v1", "services", namespace=world.NAMESPACE)
SLICES = path_of("discovery.k8s.io/v1", "endpointslices", namespace=world.NAMESPACE)


@dataclass(frozen=True, slots=True)
class Write:
    """A change that the API server has taken: when it was sent and when answered (monotonic seconds)."""

    sent_s: float
    answered_s: float


async def fill(api: ControlPlane, written: World, new: Iterable[int]) -> None:
    """Have the Services with these numbers and their slices; return when the API server's caches have them, too."""
    async with ApiClient(from_kubeconfig(api.kubeconfig), user_agent="bench") as connection:
        originals = await _originals(connection)
        etcd = Etcd(api.switch.namespace)
        try:
            revision = etcd.put(copies(originals, written, new))
        finally:
            etcd.close()
        for path in (SERVICES, SLICES):
            await _cached(connection, path, revision)


async def _originals(api: ApiClient) -> Originals:
    """What the API server makes of a Service and its slice; they do not stay."""
    await _created(api, path_of("v1", "namespaces"), {"metadata": {"name": world.NAMESPACE}})
    service, endpoint_slice = f"{SERVICES}/{world.service_name(world.ORIGINAL)}", f"{SLICES}/{world.slice_name(world.ORIGINAL)}"
    await api.call("POST", SERVICES, body=world.service(world.ORIGINAL))
    await api.call("POST", SLICES, body=World().endpoint_slice(world.ORIGINAL))
    address = path_of("networking.k8s.io/v1", "ipaddresses", world.cluster_ip(world.ORIGINAL))
    made = Originals(*[msgspec.json.decode(await api.get(path)) for path in (service, endpoint_slice, address)])
    for path in (service, endpoint_slice):
        await api.call("DELETE", path)
    return made


async def _cached(api: ApiClient, path: str, revision: int) -> None:
    """Wait until the API server's cache of a resource is at least at this revision."""
    query = {"limit": "1", "resourceVersion": str(revision), "resourceVersionMatch": "NotOlderThan"}
    for _ in range(ATTEMPTS):
        try:
            await api.get(path, query=query)
        except ApiError as error:
            if error.status != NOT_YET:  # it waits for three seconds, then says that it is not there yet
                raise
        else:
            return
    raise ClusterError(f"the API server does not catch up with etcd: {path} is not at revision {revision} yet")


async def place_node(kubeconfig: Path, address: str) -> None:
    """Have the measured Node, with this address, and as if it were new."""
    made = world.node(address)
    async with ApiClient(from_kubeconfig(kubeconfig), user_agent="bench") as api:
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

    def __init__(self, api: ApiClient, written: World) -> None:
        self._api = api
        self._world = written

    @property
    def next_address(self) -> str:
        return self._world.next_address

    async def replace_endpoint(self, number: int) -> Write:
        """Replace one endpoint of the Service with this number."""
        self._world.replace_endpoint(number)
        body = msgspec.json.encode(self._world.endpoint_slice(number))
        path = f"{SLICES}/{world.slice_name(number)}"
        sent_s = time.monotonic()
        async with self._api.open("PUT", path, body=body) as answer:
            answered_s = time.monotonic()
            await answer.read(1 << 20)
        return Write(sent_s, answered_s)


async def _created(api: ApiClient, path: str, item: dict[str, Any]) -> None:
    try:
        await api.call("POST", path, body=item)
    except ApiError as error:
        if error.status != CONFLICT:
            raise
