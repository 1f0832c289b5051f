"""The only module that writes to the API server, and the only one that knows the `kubernetes` package.

Its calls block, so they run in threads; their number bounds the writes that are under way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import kubernetes
import urllib3
from kubernetes.client.exceptions import ApiException

from proxyconfig_api.objects import names
from proxyconfig_client.apiserver.client import path_of
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.connection.errors import ClientError
from proxyconfig_operator.apply.workqueue import RetryError
from proxyconfig_operator.model.writes import Apply, Delete, Label, Resource, Write

WRITERS = 16
TIMEOUT_S = 15
"""Half of the grace that the operator's pod has: the Lease is released after the last write."""
_APPLY, _MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
_FAILURES = (urllib3.exceptions.HTTPError, OSError, ClientError)


class _Kind(NamedTuple):
    """Where objects of a resource are; those that have a namespace are in the agents'."""

    api_version: str
    plural: str
    namespaced: bool = False


_KINDS = {
    Resource.PROXY_CONFIG: _Kind(names.API_VERSION, "proxyconfigs"),
    Resource.NODE_PROXY: _Kind(names.API_VERSION, "nodeproxies"),
    Resource.NODE: _Kind("v1", "nodes"),
    Resource.DAEMON_SET: _Kind("apps/v1", "daemonsets", namespaced=True),
    Resource.REVISION: _Kind("apps/v1", "controllerrevisions", namespaced=True),
    Resource.POD: _Kind("v1", "pods", namespaced=True),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A write that the API server will not take as it is, with the server's own words."""

    resource: Resource
    name: str
    reason: str

    def __str__(self) -> str:
        return f"the API server refuses {self.resource.value} {self.name}: {self.reason}"


class Kube:
    """One API server."""

    def __init__(self, config: ClientConfig, namespace: str) -> None:
        self._client = _client(config)
        self._namespace = namespace
        self._threads = ThreadPoolExecutor(WRITERS, thread_name_prefix="kube")

    async def close(self) -> None:
        """Return when the last write that is under way has ended; nothing can be written any more."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    async def list_configs(self) -> list[dict[str, Any]]:
        """All ProxyConfigs as they are now. Raises RetryError."""
        return await self._list(self._path(Resource.PROXY_CONFIG))

    async def list_daemonsets(self) -> list[dict[str, Any]]:
        """The agents' DaemonSets as they are now. Raises RetryError."""
        return await self._list(self._path(Resource.DAEMON_SET), {"labelSelector": names.CONFIG_LABEL})

    async def write(self, writes: Iterable[Write]) -> list[Refusal]:
        """Carry out writes in parallel and return the refused ones.

        Raises RetryError, after all have ended, if one failed that may succeed later.
        """
        results = await asyncio.gather(*(self._thread(partial(self._carry_out, write)) for write in writes), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, Refusal)]

    async def _list(self, path: str, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        try:
            answer = await self._thread(partial(self._request, "GET", path, query))
        except (ApiException, *_FAILURES) as error:
            self._forget_rejected(error)
            raise RetryError(_words(error)) from error
        items: list[dict[str, Any]] = json.loads(answer)["items"]
        return items

    async def _thread(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _carry_out(self, write: Write) -> Refusal | None:
        try:
            match write:
                case Apply():
                    self._patch(self._path(write.resource, write.name, write.part), write.body, _APPLY)
                case Label():
                    body = {"metadata": {"uid": write.uid, "labels": dict(write.labels)}}
                    self._patch(self._path(Resource.NODE, write.node), body, _MERGE)
                case Delete():
                    self._request("DELETE", self._path(write.resource, write.name), body={"preconditions": {"uid": write.uid}})
        except ApiException as error:
            self._forget_rejected(error)
            return _refusal(write, error)
        except _FAILURES as error:
            raise RetryError(_words(error)) from error
        return None

    def _forget_rejected(self, error: Exception) -> None:
        """A connection is authenticated by the client certificate that it was made with: after a 401 make new ones."""
        if isinstance(error, ApiException) and error.status == 401:
            self._client.rest_client.pool_manager.clear()

    def _path(self, resource: Resource, name: str = "", subresource: str = "") -> str:
        kind = _KINDS[resource]
        return path_of(kind.api_version, kind.plural, name, namespace=self._namespace if kind.namespaced else "", subresource=subresource)

    def _patch(self, path: str, body: Mapping[str, Any], content_type: str) -> None:
        query = {"fieldManager": names.OPERATOR} | ({"force": "true"} if content_type == _APPLY else {})
        self._request("PATCH", path, query, body, content_type)

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """Return the body of the answer. Raises ApiException for one that is an error.

        The classes of the package for each API group are left out: they load a model of every object, which takes a second of CPU time.
        """
        headers = {"Accept": "application/json", "Content-Type": content_type}
        words = self._client.param_serialize(method, path, None, list((query or {}).items()), headers, body, auth_settings=["BearerToken"])
        response = self._client.call_api(*words, _request_timeout=TIMEOUT_S)
        content: bytes = response.read()
        if not 200 <= response.status < 300:
            raise ApiException.from_response(http_resp=response, body=content.decode(errors="replace"), data=None)
        return content


def _client(config: ClientConfig) -> Any:
    """The package's client with the operator's TLS and token: its own loader would not follow rotated files."""

    def authorize(configuration: Any) -> None:
        if token := config.bearer():
            configuration.api_key["authorization"] = f"Bearer {token}"

    configuration: Any = kubernetes.client.Configuration(host=config.server)
    configuration.refresh_api_key_hook = authorize
    authorize(configuration)
    client = kubernetes.client.ApiClient(configuration)
    trust: dict[str, Any] = {"ssl_context": config.tls, "cert_reqs": config.tls.verify_mode} if config.tls is not None else {}
    client.rest_client.pool_manager = urllib3.PoolManager(maxsize=WRITERS, **trust)
    return client


def _refusal(write: Write, error: Any) -> Refusal | None:
    """What an error answer means: gone (None), refused for good, or (RetryError) to be tried again."""
    owner = not isinstance(write, Apply) or "uid" in write.body["metadata"]
    if error.status in (404, 409) and owner:
        return None  # it is gone, or another object has its name; there are events for both
    if error.status in (400, 403, 404, 422):
        name, resource = (write.node, Resource.NODE) if isinstance(write, Label) else (write.name, write.resource)
        return Refusal(resource, name, _words(error))
    raise RetryError(_words(error)) from error


def _words(error: Any) -> str:
    """The server's own sentence if there is one."""
    try:
        return str(json.loads(error.body)["message"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return str(getattr(error, "reason", "") or error or type(error).__name__)
