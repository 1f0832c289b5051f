"""The API server that kubectl would ask."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from proxyconfig_cli import __version__
from proxyconfig_cli.cluster.failures import explained
from proxyconfig_client.apiserver.client import ApiClient
from proxyconfig_client.connection.config import ClientConfig, from_kubeconfig, in_cluster

USER_AGENT = f"kubectl-proxyconfig/{__version__}"
MANAGER = "kubectl-proxyconfig"
"""The field manager of what the commands write."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Options of a command that speaks to a cluster; empty as kubectl's: $KUBECONFIG or ~/.kube/config, its current context."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[ApiClient]:
        """Raises ConfigurationError; around what is done with the client, Unusable."""
        config = config_of(self.kubeconfig, self.context)
        with explained(config):
            async with _JsonClient(config, user_agent=USER_AGENT) as client:
                yield client


class _JsonClient(ApiClient):
    """Looks into each answer, also into those of writes: the login page of a proxy is a success, too."""

    async def call(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None, content_type: str = "application/json"
    ) -> bytes:
        answer = await super().call(method, path, query=query, body=body, content_type=content_type)
        msgspec.json.decode(answer, type=msgspec.Raw)
        return answer


def config_of(kubeconfig: str, context: str, environment: Mapping[str, str] = os.environ, home: Path | None = None) -> ClientConfig:
    """The named kubeconfig, else those of $KUBECONFIG, else ~/.kube/config, else a pod's service account. Raises ConfigurationError."""
    if kubeconfig:
        return from_kubeconfig(Path(kubeconfig), context)
    listed = [Path(name) for name in environment.get("KUBECONFIG", "").split(os.pathsep) if name]
    default = (home or Path.home()) / ".kube" / "config"
    if not listed and not default.exists() and environment.get("KUBERNETES_SERVICE_HOST"):
        return in_cluster(environment)
    present = [path for path in listed if path.exists()]  # as kubectl, which passes over those that are not there
    return from_kubeconfig(present or listed[:1] or [default], context)
