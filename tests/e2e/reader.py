"""Objects of a cluster as tests read them, again and again: through one `kubectl proxy`, as each kubectl computes for long."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tests.cluster import kubectl

from proxyconfig_api.objects.names import API_VERSION
from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.connection.errors import ApiError, is_missing

Object = dict[str, Any]
CLUSTER_WIDE = {
    "nodes": "v1",
    "nodeproxies": API_VERSION,
    "proxyconfigs": API_VERSION,
    "servicecidrs": "networking.k8s.io/v1",
}
NAMESPACED = {
    "deployments": "apps/v1",
    "events": "events.k8s.io/v1",
    "leases": "coordination.k8s.io/v1",
    "pods": "v1",
    "serviceaccounts": "v1",
    "services": "v1",
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads from the server of `config`. `plural` is one of CLUSTER_WIDE and NAMESPACED."""

    config: ClientConfig

    def get(self, plural: str, name: str, namespace: str) -> Object:
        """Return an object; an empty one if there is none. Raises ApiError."""
        try:
            return dict(self._read(_path(plural, namespace, name), {}))
        except ApiError as error:
            if is_missing(error):
                return {}
            raise

    def list(self, plural: str, namespace: str, labels: str = "", fields: str = "") -> list[Object]:
        """Return the objects of a kind that have these labels and fields. Raises ApiError."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        return list(self._read(_path(plural, namespace), {key: text for key, text in query.items() if text})["items"])

    def _read(self, path: str, query: dict[str, str]) -> Any:
        async def read() -> bytes:
            async with ApiClient(self.config, user_agent="e2e") as api:
                return await api.get(path, query=query)

        return msgspec.json.decode(asyncio.run(read()))


@contextmanager
def reader(kubeconfig: Path) -> Iterator[Reader]:
    """Serve the cluster of a kubeconfig, whatever its credentials are, at an address of this machine."""
    command = (str(kubectl.on_path(kubeconfig).program), "--kubeconfig", str(kubeconfig), "proxy", "--port=0")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        assert proxy.stdout is not None
        try:
            said = proxy.stdout.readline()
            assert said.startswith("Starting to serve on "), f"kubectl proxy said {said!r}"
            yield Reader(ClientConfig(f"http://{said.split()[-1]}"))
        finally:
            proxy.terminate()


def _path(plural: str, namespace: str, name: str = "") -> str:
    if plural in CLUSTER_WIDE:
        return path_of(CLUSTER_WIDE[plural], plural, name)
    return path_of(NAMESPACED[plural], plural, name, namespace=namespace)
