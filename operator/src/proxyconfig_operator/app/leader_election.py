"""One leader among replicas, by a coordination.k8s.io Lease.

Clocks of the replicas need not agree: a Lease is taken over when it has not changed for its duration as we saw it. Renewals go
over a separate connection, for behind thousands of writes they would come too late. There is no fencing: a write in flight
may land after the next leader has begun; applies are idempotent, so that does no harm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec
import structlog

from proxyconfig_client.apiserver.client import path_of
from proxyconfig_client.connection.errors import ApiError, ClientError, is_conflict, is_distrust, is_missing

DURATION_S = 15
GIVE_UP_S = 10.0
"""Less than DURATION_S: we have stopped before another one may start."""
RENEW_S = 2.0
RELEASE_S = 5.0
"""A process that ends has little time; the next leader waits for the end of the Lease then."""

_log = structlog.get_logger("lease")


class Api(Protocol):
    """The requests of an ApiClient. They raise ClientError, TimeoutError or OSError."""

    async def get(self, path: str) -> bytes: ...
    async def call(self, method: str, path: str, *, body: Any) -> bytes: ...


class Lease:
    def __init__(self, api: Api, namespace: str, name: str, identity: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`identity` is unique among replicas and their restarts; `clock` is monotonic, in seconds."""
        self._api, self._namespace, self._name, self._identity = api, namespace, name, identity
        self._clock = clock
        self._version, self._seen_at = "", 0.0
        self.tried_at = clock()
        """When (monotonic) the server was last asked, with whatever result."""
        self.distrusted_since: float | None = None
        """When (monotonic) TLS or the credentials began to fail; None since the last proper response."""

    async def acquire(self) -> None:
        """Return once we are the leader."""
        while not await self._try():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(RENEW_S)
        _log.info("leading", identity=self._identity)

    async def hold(self) -> None:
        """Renew; return when that could not be done in time. The caller must then stop at once."""
        renewed = self._clock()
        while self._clock() - renewed < GIVE_UP_S:
            await asyncio.sleep(RENEW_S)
            started = self._clock()
            if await self._try():
                renewed = started
        _log.error("lease lost", identity=self._identity, after_s=GIVE_UP_S)

    async def release(self) -> None:
        """Give the Lease up so that the next leader need not wait for its end; it does if that takes longer than RELEASE_S."""
        try:
            async with asyncio.timeout(RELEASE_S):
                await self._give_up()
        except (ClientError, TimeoutError, OSError) as error:
            _log.warning("lease not released", error=str(error) or type(error).__name__)

    async def _give_up(self) -> None:
        held = await self._read()
        if held.get("spec", {}).get("holderIdentity") == self._identity:
            held["spec"]["holderIdentity"] = ""
            await self._write(held)

    async def _try(self) -> bool:
        """Take or renew once. Of two who try, the server refuses one for its older resourceVersion."""
        try:
            async with asyncio.timeout(RENEW_S * 2):
                leading = await self._take()
                self.distrusted_since = None
                return leading
        except (ClientError, TimeoutError, OSError) as error:
            if not is_conflict(error):
                _log.warning("lease not renewed", error=str(error) or type(error).__name__)
            self._note(error)
            return False
        finally:
            self.tried_at = self._clock()

    def _note(self, error: Exception) -> None:
        if is_distrust(error):
            self.distrusted_since = self.distrusted_since or self._clock()
        elif isinstance(error, ApiError):
            self.distrusted_since = None

    async def _take(self) -> bool:
        lease = await self._read()
        spec, version = lease.setdefault("spec", {}), lease["metadata"].get("resourceVersion", "")
        if version != self._version:
            self._version, self._seen_at = version, self._clock()
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self._identity) and self._clock() - self._seen_at < (spec.get("leaseDurationSeconds") or DURATION_S):
            return False
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if holder != self._identity:
            spec |= {"acquireTime": now, "leaseTransitions": (spec.get("leaseTransitions") or 0) + 1}
        spec |= {"holderIdentity": self._identity, "leaseDurationSeconds": DURATION_S, "renewTime": now}
        await self._write(lease)
        return True

    async def _read(self) -> dict[str, Any]:
        try:
            lease: dict[str, Any] = msgspec.json.decode(await self._api.get(self._path(self._name)))
        except ApiError as error:
            if not is_missing(error):
                raise
            return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self._name}}
        return lease

    async def _write(self, lease: dict[str, Any]) -> None:
        known = "resourceVersion" in lease["metadata"]
        await self._api.call("PUT" if known else "POST", self._path(self._name if known else ""), body=lease)

    def _path(self, name: str) -> str:
        return path_of("coordination.k8s.io/v1", "leases", name, namespace=self._namespace)
