"""Services and EndpointSlices in a real API server, and a mark in them by which one can tell that a proxy has caught up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
from tests.support.netns.topology import NODE_NAME
from tests.support.scenarios.objects import SERVICE_LABEL, Key
from tests.support.scenarios.scenario import Object

from proxyconfig_client.api import ApiClient, path_of
from proxyconfig_client.config import from_kubeconfig
from proxyconfig_client.errors import ApiError

AT_ONCE = 8
PLURALS = {"Service": ("v1", "services"), "EndpointSlice": ("discovery.k8s.io/v1", "endpointslices")}
MARK = "mark"
"""The name of the Service that is written last, and of its namespace."""


class Mark(NamedTuple):
    """Ports that are new with the newest objects: watches keep the order, so who has these has the rest."""

    service: str
    endpoint: str

    def is_in(self, saved: str) -> bool:
        """Whether the output of iptables-save has rules for both."""
        return f"--dport {self.service} -j KUBE-SVC-" in saved and f":{self.endpoint}\n" in saved


class Api:
    """The objects of the test in an API server. Everything is written over one connection at a time."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._present: dict[Key, Object] = {}
        self._namespaces: set[str] = set()
        self._generation = 0

    def put(self, objects: Mapping[Key, Object]) -> Mark:
        """Make these the only ones; return what a proxy's rules have in both families once it knows all of them."""
        self._generation += 1
        marks = _marks(self._generation)
        asyncio.run(self._put({**objects, **marks}, marks))
        self._present = {**objects, **marks}
        return Mark(str(self._generation), str(9000 + self._generation))

    def everything(self) -> dict[Key, Object]:
        """All Services and EndpointSlices as the API server has them."""
        return asyncio.run(self._everything())

    async def _put(self, objects: Mapping[Key, Object], last: Mapping[Key, Object]) -> None:
        async with ApiClient(from_kubeconfig(self._kubeconfig), user_agent="comparison") as api:
            for namespace in sorted({key[1] for key in objects} - self._namespaces):
                await _create(api, path_of("v1", "namespaces"), {"metadata": {"name": namespace}})
                self._namespaces.add(namespace)
            await _together(_delete(api, key) for key in set(self._present) - set(objects))
            changed = {key: one for key, one in objects.items() if self._present.get(key) != one}
            await _together(self._write(api, key, one) for key, one in changed.items() if key not in last)
            for key, one in last.items():
                await self._write(api, key, one)

    async def _write(self, api: ApiClient, key: Key, one: Object) -> None:
        """Create or replace an object, with its status."""
        if key in self._present:
            await api.call("PUT", _path(key), body=one)
        else:
            await _create(api, _path((key[0], key[1], "")), one)
        if "status" in one:
            await _write_status(api, _path(key), one)

    async def _everything(self) -> dict[Key, Object]:
        found: dict[Key, Object] = {}
        async with ApiClient(from_kubeconfig(self._kubeconfig), user_agent="comparison") as api:
            for kind, (version, plural) in PLURALS.items():
                for one in msgspec.json.decode(await api.get(path_of(version, plural)))["items"]:
                    found[kind, one["metadata"]["namespace"], one["metadata"]["name"]] = {"kind": kind, **one}
        return found


def place_node(kubeconfig: Path, node: Object) -> None:
    """Have a Node with its status."""

    async def write() -> None:
        async with ApiClient(from_kubeconfig(kubeconfig), user_agent="comparison") as api:
            await _create(api, path_of("v1", "nodes"), node)
            await _write_status(api, path_of("v1", "nodes", node["metadata"]["name"]), node)

    asyncio.run(write())


async def _create(api: ApiClient, path: str, one: Object) -> None:
    try:
        await api.call("POST", path, body=one)
    except ApiError as error:
        raise AssertionError(f"{error}: {one}") from error


async def _delete(api: ApiClient, key: Key) -> None:
    await api.call("DELETE", _path(key))


async def _write_status(api: ApiClient, path: str, one: Object) -> None:
    await api.call("PATCH", f"{path}/status", body={"status": one["status"]}, content_type="application/merge-patch+json")


async def _together(calls: Iterable[Awaitable[None]]) -> None:
    """A few at once."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(call: Awaitable[None]) -> None:
        async with free:
            await call

    await asyncio.gather(*map(one, calls))


def _path(key: Key) -> str:
    kind, namespace, name = key
    version, plural = PLURALS[kind]
    return path_of(version, plural, name, namespace=namespace)


def _marks(generation: int) -> dict[Key, Object]:
    """A Service of both families, and its slices with a port that is another one each time."""
    metadata = {"namespace": MARK, "name": MARK}
    spec = {
        "clusterIP": "10.96.3.3",
        "clusterIPs": ["10.96.3.3", "fd00:10:96::303"],
        "ipFamilies": ["IPv4", "IPv6"],
        "ipFamilyPolicy": "RequireDualStack",
        "ports": [{"port": generation}],
    }
    marks: dict[Key, Object] = {("Service", MARK, MARK): {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}}
    for family, address in ((4, "10.244.0.3"), (6, "fd00:244::3")):
        name = f"{MARK}-{family}"
        marks["EndpointSlice", MARK, name] = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"namespace": MARK, "name": name, "labels": {SERVICE_LABEL: MARK}},
            "addressType": f"IPv{family}",
            "ports": [{"name": "", "port": 9000 + generation, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "nodeName": NODE_NAME}],
        }
    return marks
