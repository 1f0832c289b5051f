"""Renews the Lease of this node's agent, which vouches for the NodeProxy's status (`proxyconfig_api.objects.heartbeat`)."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol

import structlog

from proxyconfig_api.objects.heartbeat import GRACE_S, LABELS, NAMESPACE, RENEW_S, lease_of
from proxyconfig_api.objects.names import API_VERSION
from proxyconfig_client.apiserver.client import path_of
from proxyconfig_client.connection.errors import ClientError, is_missing
from proxyconfig_client.process.clock import Clock

SHORTEST_S = 0.75 * RENEW_S
"""Between two renewals."""

CHECK_S = 1.0
"""How often a heartbeat that is withheld looks whether it may go on."""

_API_VERSION = "coordination.k8s.io/v1"
_log = structlog.get_logger("heartbeat")


class Call(Protocol):
    """A request to the API server, as `Connection.call`. Raises ClientError, OSError or TimeoutError."""

    async def __call__(self, method: str, path: str, *, body: Any, content_type: str) -> object: ...


class Heartbeat:
    """`vouches_for` returns the uid of the NodeProxy whose status is up to date; empty: the Lease is not renewed.

    `holder` names this process, so that a restart is visible."""

    def __init__(
        self,
        call: Call,
        node: str,
        vouches_for: Callable[[], str],
        *,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._call, self._node, self._vouches_for = call, node, vouches_for
        self._clock, self._chance = clock, chance
        self.holder = f"{node}_{uuid.uuid4().hex[:8]}"
        self._failing = ""

    async def run(self) -> NoReturn:
        """Renew until cancelled; after a failure at the usual time: three may fail before the Lease expires."""
        shortest_s = 0.0  # once: nodes that start together do not go on together
        while True:
            if owner := self._vouches_for():
                await self._try_renew(owner)
                await asyncio.sleep(shortest_s + (RENEW_S - shortest_s) * self._chance())
                shortest_s = SHORTEST_S
            else:
                await asyncio.sleep(CHECK_S)

    async def _try_renew(self, owner: str) -> None:
        try:
            await self.renew(owner)
        except (ClientError, TimeoutError, OSError) as error:
            failing = str(error) or type(error).__name__
            if failing != self._failing:
                _log.warning("heartbeat not renewed", error=failing)
            self._failing = failing
        else:
            if self._failing:
                _log.info("heartbeat renewed again")
            self._failing = ""

    async def renew(self, owner: str) -> None:
        """Patch the Lease; create it if it is absent, as after the end of an earlier NodeProxy. Raises as the `call`."""
        lease = self._lease(owner)
        try:
            await self._call("PATCH", self._path(lease_of(self._node)), body=lease, content_type="application/merge-patch+json")
        except ClientError as error:
            if not is_missing(error):
                raise
            await self._call("POST", self._path(""), body=lease, content_type="application/json")

    def _path(self, name: str) -> str:
        return path_of(_API_VERSION, "leases", name, namespace=NAMESPACE)

    def _lease(self, owner: str) -> dict[str, Any]:
        now = datetime.fromtimestamp(self._clock.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "apiVersion": _API_VERSION,
            "kind": "Lease",
            "metadata": {
                "name": lease_of(self._node),
                "namespace": NAMESPACE,
                "labels": dict(LABELS),
                "ownerReferences": [{"apiVersion": API_VERSION, "kind": "NodeProxy", "name": self._node, "uid": owner}],
            },
            "spec": {"holderIdentity": self.holder, "leaseDurationSeconds": int(GRACE_S), "renewTime": now},
        }
