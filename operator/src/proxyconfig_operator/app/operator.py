"""An operator at work: waits for the Lease, then runs reflectors, kopf and the queue until a signal or the loss of the Lease ends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import kopf
import msgspec
import structlog

from proxyconfig_api.objects import heartbeat, names
from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.apiserver.events import Events
from proxyconfig_client.connection.config import ClientConfig, from_kubeconfig, in_cluster
from proxyconfig_client.watch.reflector import Reflector
from proxyconfig_operator.app import health, preflight
from proxyconfig_operator.app.health import Vitals, ago
from proxyconfig_operator.app.leader_election import Lease
from proxyconfig_operator.app.options import Settings, api_server
from proxyconfig_operator.apply.apiserver import Kube
from proxyconfig_operator.apply.reconciler import Reconciler
from proxyconfig_operator.apply.workqueue import Queue, RetryError
from proxyconfig_operator.decide import agent_daemonset, revisions
from proxyconfig_operator.decide.agent_daemonset import Installation
from proxyconfig_operator.model import node_proxies, probe_pods
from proxyconfig_operator.model.objects import Config, DaemonSet, Node, Pod, Revision
from proxyconfig_operator.watch import kopf_handlers
from proxyconfig_operator.watch.caches import Caches
from proxyconfig_operator.watch.heartbeats import Heartbeat
from proxyconfig_operator.watch.observations import Observations

INTERVAL_S = 1.0
"""Between two passes over one ProxyConfig: what 5,000 nodes report in that time is one status."""
RELIST_S = 30.0
"""kopf does not report what was deleted while its watch was away, and gives a watch up when it is refused once, which an API server
that has just started does."""
USER_AGENT = names.OPERATOR

_log = structlog.get_logger("operator")


async def run(settings: Settings) -> None:
    """Operate until SIGTERM or SIGINT. Who loses the Lease, maybe to an API server that was away, waits for it again.

    Raises ConfigurationError when it cannot begin.
    """
    config = from_kubeconfig(settings.kubeconfig) if settings.kubeconfig else in_cluster()
    async with ApiClient(config, user_agent=USER_AGENT) as connection, ApiClient(config, user_agent=USER_AGENT) as renewals:
        await preflight.check(connection, config)
        lease = Lease(renewals, settings.namespace, names.OPERATOR, settings.identity)
        while await Operator(settings, config, connection, Kube(config, settings.namespace), lease).run():
            _log.info("waiting to lead again", identity=settings.identity)


class Operator:
    def __init__(
        self,
        settings: Settings,
        config: ClientConfig,
        connection: ApiClient,
        kube: Kube,
        lease: Lease,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is monotonic, in seconds; the Lease has the same one."""
        self._settings, self._config, self._kube, self._lease, self._clock = settings, config, kube, lease, clock
        self._queue = Queue(INTERVAL_S, _retrying, clock)
        self._caches = Caches(self._queue.add, Observations(settings.heartbeat_grace_s, clock))
        installation = Installation(settings.namespace, settings.agent_image, api_server(config.server))
        recorder = Events(connection, names.OPERATOR, settings.identity)
        self._reconciler = Reconciler(self._caches, kube, recorder, installation, settings.removal_deadline_s)
        self._reflectors = _reflectors(connection, self._caches, settings.namespace)
        self._leading = False

    async def run(self) -> bool:
        """Lead, as soon as we may, until told to stop; or return that the Lease was lost."""
        stop = asyncio.Event()
        server = await health.serve(self._settings.health, self._vitals)
        try:
            kopf_handlers.on_signals(stop.set)
            if not await _first(self._lease.acquire(), stop):
                return False
            self._leading = True
            return await self._lead(stop)
        finally:
            await server.cleanup()

    async def _lead(self, stop: asyncio.Event) -> bool:
        """Do everything that only one may do. The Lease is given up after the last write."""
        memo = kopf_handlers.Memo(self._caches, self._config, stop.set)
        holding = asyncio.create_task(self._lease.hold(), name="lease")
        work = [asyncio.create_task(each) for each in (*(each.run() for each in self._reflectors.values()), self._work(), self._relist())]
        for task in (holding, *work):  # none of them ends by itself; if one does, nothing may go on without it
            task.add_done_callback(lambda _: stop.set())
        stopping = asyncio.create_task(_cancel_after(stop, work))
        try:
            await kopf.operator(namespaces=[self._settings.namespace], memo=memo, stop_flag=stop)
        finally:
            stop.set()
            await stopping
            await self._kube.close()
            lost = holding.done()
            holding.cancel()
            if not lost:
                await self._lease.release()
        for task in work:
            if not task.cancelled() and (error := task.exception()):
                raise error
        return lost

    async def _work(self) -> None:
        """Reconcile; only with full caches, for half of one would be a wrong answer."""
        while not await self._listed():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(1)
        for reflector in self._reflectors.values():
            await reflector.synced.wait()
        _log.info("caches filled", nodes=len(self._caches.nodes.items), configs=len(self._caches.configs.items))
        self._caches.wake_all()
        await self._queue.run(self._reconciler.reconcile)

    async def _relist(self) -> None:
        """Find what kopf has missed, and look at everything again."""
        while True:
            await asyncio.sleep(RELIST_S)
            await self._listed()
            self._caches.wake_all()

    async def _listed(self) -> bool:
        """Read the few objects that kopf watches; tell whether that went well."""
        configs, daemonsets = dict(self._caches.configs.items), dict(self._caches.daemonsets.items)
        try:
            self._caches.configs.merge(configs, map(Config.of, await self._kube.list_configs()))
            self._caches.daemonsets.merge(daemonsets, [msgspec.convert(each, DaemonSet) for each in await self._kube.list_daemonsets()])
        except RetryError as error:
            _log.warning("not listed", error=str(error))
            return False
        return True

    def _vitals(self) -> Vitals:
        return Vitals(
            leading=self._leading,
            lease_tried_ago_s=ago(self._lease.tried_at, self._clock),
            distrusted_for_s=ago(self._lease.distrusted_since, self._clock),
            reconciling_for_s=ago(self._queue.busy_since, self._clock),
            waiting_for=tuple(name for name, each in self._reflectors.items() if self._leading and not each.synced.is_set()),
            unselected_nodes=len(self._caches.assignment().unselected),
        )


def _reflectors(connection: ApiClient, caches: Caches, namespace: str) -> dict[str, Reflector[Any]]:
    """What there is too much of for kopf, by name."""
    in_namespace = partial(path_of, namespace=namespace)
    our_revisions = f"{names.CONFIG_LABEL},{revisions.COMPONENT_LABEL} in ({revisions.COMPONENT},{revisions.POD_COMPONENT})"
    return {
        "nodes": Reflector(connection, path_of("v1", "nodes"), _decoder(Node), caches.nodes),
        "nodeproxies": Reflector(connection, path_of(names.API_VERSION, "nodeproxies"), node_proxies.decode, caches.proxies),
        "pods": Reflector(connection, in_namespace("v1", "pods"), _decoder(Pod), caches.pods, label_selector=agent_daemonset.POD_SELECTOR),
        "probe pods": Reflector(
            connection, in_namespace("v1", "pods"), _decoder(Pod), caches.probe_pods, label_selector=probe_pods.SELECTOR
        ),
        "revisions": Reflector(
            connection, in_namespace("apps/v1", "controllerrevisions"), _decoder(Revision), caches.revisions, label_selector=our_revisions
        ),
        "heartbeats": Reflector(
            connection,
            in_namespace("coordination.k8s.io/v1", "leases"),
            _decoder(Heartbeat),
            caches.heartbeats,
            label_selector=heartbeat.SELECTOR,
        ),
    }


def _decoder(kind: type[Any]) -> Any:
    return msgspec.json.Decoder(kind, strict=False).decode


def _retrying(name: str, wait_s: float, error: RetryError) -> None:
    _log.warning("retrying", config=name or "(strays)", in_s=wait_s, error=str(error))


async def _cancel_after(stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks as soon as `stop` is set: kopf takes what it did not start for hung, and waits for it."""
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _first(wanted: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Wait for `wanted` or for `stop`, whichever comes first; tell whether it was `wanted`."""
    task, stopping = asyncio.create_task(wanted), asyncio.create_task(stop.wait())
    done, rest = await asyncio.wait((task, stopping), return_when=asyncio.FIRST_COMPLETED)
    for each in rest:
        each.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    for each in done:
        each.result()
    return task in done
