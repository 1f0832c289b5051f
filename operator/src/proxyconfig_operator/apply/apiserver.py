"""The only module that writes to the API server, and the only one that knows the `kubernetes` package.

Its calls block, so they run in threads; their number bounds the writes that are under way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import kubernetes
import urllib3
from kubernetes.client.exceptions import ApiException

from proxyconfig_api.objects import names
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.connection.errors import ClientError
from proxyconfig_operator.apply.workqueue import RetryError
from proxyconfig_operator.model.writes import Apply, Delete, Resource, Unlabel, Write

WRITERS = 16
TIMEOUT_S = 15
"""Half of the grace that the operator's pod has: the Lease is released after the last write."""
_APPLY: dict[str, Any] = {"field_manager": names.OPERATOR, "force": True, "_content_type": "application/apply-patch+yaml"}
_MERGE: dict[str, Any] = {"field_manager": names.OPERATOR, "_content_type": "application/merge-patch+json"}
_FAILURES = (urllib3.exceptions.HTTPError, OSError, ClientError)
_RAW: dict[str, Any] = {"_preload_content": False, "_request_timeout": TIMEOUT_S}
"""Answers are not made into model objects: nobody reads them."""


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
        self._core, self._apps = kubernetes.client.CoreV1Api(self._client), kubernetes.client.AppsV1Api(self._client)
        self._custom = kubernetes.client.CustomObjectsApi(self._client)
        self._namespace = namespace
        self._threads = ThreadPoolExecutor(WRITERS, thread_name_prefix="kube")

    async def close(self) -> None:
        """Return when the last write that is under way has ended; nothing can be written any more."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    async def list_configs(self) -> list[dict[str, Any]]:
        """All ProxyConfigs as they are now. Raises RetryError."""
        return await self._list(lambda: self._custom.list_cluster_custom_object(names.GROUP, names.VERSION, "proxyconfigs", **_RAW))

    async def list_daemonsets(self) -> list[dict[str, Any]]:
        """The agents' DaemonSets as they are now. Raises RetryError."""
        return await self._list(lambda: self._apps.list_namespaced_daemon_set(self._namespace, label_selector=names.CONFIG_LABEL, **_RAW))

    async def write(self, writes: Iterable[Write]) -> list[Refusal]:
        """Carry out writes in parallel and return the refused ones.

        Raises RetryError, after all have ended, if one failed that may succeed later.
        """
        results = await asyncio.gather(*(self._thread(partial(self._carry_out, write)) for write in writes), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, Refusal)]

    async def _list(self, call: Callable[[], Any]) -> list[dict[str, Any]]:
        try:
            response = await self._thread(call)
        except (ApiException, *_FAILURES) as error:
            self._forget_rejected(error)
            raise RetryError(_words(error)) from error
        items: list[dict[str, Any]] = json.loads(response.data)["items"]
        return items

    async def _thread(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _carry_out(self, write: Write) -> Refusal | None:
        try:
            match write:
                case Apply():
                    self._apply(write)
                case Unlabel():
                    body = {"metadata": {"uid": write.uid, "labels": {write.label: None}}}
                    self._core.patch_node(write.node, body, **_MERGE, **_RAW)
                case Delete():
                    self._delete(write)
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

    def _apply(self, write: Apply) -> None:
        body, options = dict(write.body), _APPLY | _RAW
        match write.resource:
            case Resource.NODE:
                self._core.patch_node(write.name, body, **options)
            case Resource.DAEMON_SET:
                self._apps.patch_namespaced_daemon_set(write.name, self._namespace, body, **options)
            case Resource.REVISION:
                self._apps.patch_namespaced_controller_revision(write.name, self._namespace, body, **options)
            case Resource.PROXY_CONFIG | Resource.NODE_PROXY:
                patch = self._custom.patch_cluster_custom_object_status if write.part else self._custom.patch_cluster_custom_object
                patch(names.GROUP, names.VERSION, _PLURALS[write.resource], write.name, body, **options)

    def _delete(self, write: Delete) -> None:
        options = kubernetes.client.V1DeleteOptions(preconditions=kubernetes.client.V1Preconditions(uid=write.uid))
        match write.resource:
            case Resource.DAEMON_SET:
                self._apps.delete_namespaced_daemon_set(write.name, self._namespace, body=options, **_RAW)
            case Resource.REVISION:
                self._apps.delete_namespaced_controller_revision(write.name, self._namespace, body=options, **_RAW)
            case Resource.NODE_PROXY:
                self._custom.delete_cluster_custom_object(
                    names.GROUP, names.VERSION, _PLURALS[write.resource], write.name, body=options, **_RAW
                )
            case _:
                raise AssertionError(f"nothing deletes a {write.resource.value}")


_PLURALS = {Resource.PROXY_CONFIG: "proxyconfigs", Resource.NODE_PROXY: "nodeproxies"}


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
        return None  # it is gone, or another object has its name; events say so, too
    if error.status in (400, 403, 404, 422):
        name, resource = (write.node, Resource.NODE) if isinstance(write, Unlabel) else (write.name, write.resource)
        return Refusal(resource, name, _words(error))
    raise RetryError(_words(error)) from error


def _words(error: Any) -> str:
    """The server's own sentence if there is one."""
    try:
        return str(json.loads(error.body)["message"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return str(getattr(error, "reason", "") or error or type(error).__name__)
