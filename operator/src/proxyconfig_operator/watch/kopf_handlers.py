"""Everything that is kopf's: what it watches for us, and how it is kept from writing anything.

Handlers only note the event and wake the queue; they return None, for kopf would put a result into the user's status.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

import aiohttp
import kopf
import msgspec

from proxyconfig_api.objects import names
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.watch.objects import Key
from proxyconfig_operator.model.objects import Config, DaemonSet
from proxyconfig_operator.watch.caches import Caches


class Memo:
    """What handlers work on. kopf copies it for every object that it sees; there is only one, though."""

    def __init__(self, caches: Caches, config: ClientConfig, stop: Callable[[], None]) -> None:
        self.caches, self.config, self.stop = caches, config, stop

    def __copy__(self) -> Memo:
        return self


class Nothing(kopf.DiffBaseStorage, kopf.ProgressStorage):
    """kopf keeps no books: nothing is written on users' objects, and no event costs a deep copy and a diff."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        pass

    def purge(self, **_: Any) -> None:
        pass

    def touch(self, **_: Any) -> None:
        pass

    def clear(self, *, essence: Any) -> Any:
        return essence


def on_signals(stop: Callable[[], None]) -> None:
    """Let SIGINT and SIGTERM call `stop`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)


@kopf.on.startup()
async def configure(settings: kopf.OperatorSettings, memo: Memo, **_: Any) -> None:
    """Take kopf's own bookkeeping, peering, Events and signal handlers out of the way."""
    settings.persistence.diffbase_storage = settings.persistence.progress_storage = Nothing()
    settings.peering.standalone = True  # the Lease decides who leads
    settings.scanning.disabled = True  # no watching of CRDs and namespaces: they are there before we start
    settings.posting.enabled = False  # Events are ours
    settings.queueing.idle_timeout = 0.2  # idle workers keep whole objects
    # In a moment kopf takes the signals; it would then wait seconds for tasks that it takes for its own. We take them back after that.
    asyncio.get_running_loop().call_soon(on_signals, memo.stop)


@kopf.on.login()
async def login(memo: Memo, **_: Any) -> kopf.AiohttpSession:
    """A session with the operator's own TLS and token; kopf closes it and logs in again after a 401."""
    config = memo.config
    token = config.bearer()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=config.tls if config.tls is not None else True),
        headers={"Authorization": f"Bearer {token}"} if token else {},
    )
    return kopf.AiohttpSession(server=config.server, aiohttp_session=session)


@kopf.on.event(names.GROUP, names.VERSION, "proxyconfigs")
async def proxyconfig_changed(event: kopf.RawEvent, name: str, memo: Memo, **_: Any) -> None:
    """Note a ProxyConfig."""
    if event["type"] == "DELETED":
        memo.caches.configs.on_delete(Key("", name))
    else:
        memo.caches.configs.on_upsert(Config.of(event["object"]))


@kopf.on.event("apps", "v1", "daemonsets", labels={names.CONFIG_LABEL: kopf.PRESENT})
async def daemonset_changed(event: kopf.RawEvent, name: str, memo: Memo, **_: Any) -> None:
    """Note a DaemonSet of agents."""
    if event["type"] == "DELETED":
        memo.caches.daemonsets.on_delete(Key("", name))
    else:
        memo.caches.daemonsets.on_upsert(msgspec.convert(event["object"], DaemonSet))
