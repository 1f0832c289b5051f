"""What this node is to do: from its NodeProxy and the ControllerRevision that it names, or from a file.

Either way the controller gets a `Desired`, again whenever it changes. One that cannot be had or understood is a finding, and the last
good one stays in effect.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec
import structlog
from msgspec import Struct, field

from proxyconfig_agent.state.findings import Finding, Topic
from proxyconfig_api.encoding.codec import dec_hook
from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_api.objects.names import API_VERSION, NAMESPACE
from proxyconfig_api.objects.nodeproxy import Action, NodeChange, NodeProxy, NodeProxySpec, NodeProxyStatus
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.objects.revision import parse_revision, unknown_fields
from proxyconfig_api.spec.rollout import Rollout
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_api.status.messages import listed
from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.connection.document import read as document_of
from proxyconfig_client.connection.errors import ApiError, ClientError, ConfigurationError, is_missing
from proxyconfig_client.process.backoff import Backoff
from proxyconfig_client.watch.objects import Cache, Key
from proxyconfig_client.watch.reflector import Reflector

LOOK_S = 1.0
"""How often a configuration file is looked at; a ConfigMap's is a symbolic link that is exchanged, which no file watch reports."""

_log = structlog.get_logger("desired")


class Desired(Struct, frozen=True):
    """A spec to apply, or (`remove`) nothing to be left. `reported` is what the NodeProxy's status says, by an earlier agent at first.

    `uid` distinguishes a NodeProxy from a later one of the same name, whose status begins empty."""

    spec: ProxyConfigSpec
    generation: int = 0
    revision: str = ""
    remove: bool = False
    give_back: bool = False
    """The spec is applied until a kube-proxy serves the node, and then nothing is left but what that takes over."""
    reported: NodeProxyStatus = field(default_factory=NodeProxyStatus)
    uid: str = ""
    change: NodeChange = field(default_factory=NodeChange)
    """How the node is to change to the spec."""

    def __eq__(self, other: object) -> bool:
        """What was reported, and how the node is to change, is no difference."""
        return isinstance(other, Desired) and self._compared() == other._compared()

    def __hash__(self) -> int:
        return hash(self._compared())

    def _compared(self) -> tuple[object, ...]:
        return self.spec, self.generation, self.revision, self.remove, self.give_back, self.uid


class _Revision(msgspec.Struct):
    data: msgspec.Raw


class _Content(Struct, frozen=True):
    """Of a ControllerRevision: its spec, and the paths of fields that we do not know."""

    spec: ProxyConfigSpec
    unknown: tuple[str, ...] = ()


Tell = Callable[[Desired], None]
Trouble = Callable[[Finding | None], None]


class NodeProxySource:
    """Follows the NodeProxy of `node`. While there is none, or after it is gone, the last state stays."""

    def __init__(self, connection: ApiClient, node: str, tell: Tell, trouble: Trouble) -> None:
        self._connection, self._node, self._tell, self._trouble = connection, node, tell, trouble
        self._newest: NodeProxy | None = None
        self._revisions: dict[str, _Content] = {}  # the last one: they never change
        self._undecodable = False
        self._news = asyncio.Event()
        decode = msgspec.json.Decoder(NodeProxy, strict=False, dec_hook=dec_hook).decode
        path, own = path_of(API_VERSION, "nodeproxies"), f"metadata.name={node}"
        cache: Cache[NodeProxy] = Cache(self._changed)
        self.reflector = Reflector(connection, path, decode, cache, field_selector=own, on_undecodable=self._set_undecodable)

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reflector.run())
            group.create_task(self._follow())
            await self.reflector.synced.wait()
            if self._newest is None:
                advice = "the operator makes it when a ProxyConfig selects this node"
                _log.info("waiting for a NodeProxy", node=self._node, advice=advice)

    def _changed(self, _key: Key, item: NodeProxy | None) -> None:
        if item is not None and (self._undecodable or self._newest is None or _order(item) != _order(self._newest)):
            self._newest, self._undecodable = item, False
            self._news.set()

    def _set_undecodable(self, _key: Key, error: str) -> None:
        self._undecodable = True
        sentence = f"NodeProxy {self._node} {error}; the last good one stays; update the agent"
        self._trouble(Finding(Topic.AGENT, "NodeProxyUndecodable", sentence))

    async def _follow(self) -> NoReturn:
        backoff = Backoff(first_s=0.5)
        while True:
            await self._news.wait()
            self._news.clear()
            if self._newest is not None and not await self._resolve(self._newest):
                self._news.set()
                await asyncio.sleep(backoff.wait_s())
            else:
                backoff.succeeded()

    async def _resolve(self, proxy: NodeProxy) -> bool:
        """Tell what `proxy` says; returns whether there is any use in trying no more."""
        name = proxy.spec.revision_name
        if proxy.spec.action is Action.REMOVE:  # it needs no spec
            self._announce(proxy, self._revisions.get(name, _Content(ProxyConfigSpec())))
            return True
        try:
            content = self._revisions.get(name) or await self._fetched(proxy.spec)
        except InvalidSpec as error:
            sentence = f"ControllerRevision {name} cannot be used: {error}; the last good one stays"
            self._trouble(Finding(Topic.AGENT, "RevisionInvalid", sentence))
            return True
        except (ClientError, TimeoutError, OSError, msgspec.MsgspecError) as error:
            sentence = f"ControllerRevision {name} cannot be read: {str(error) or type(error).__name__}; the last good one stays"
            self._trouble(Finding(Topic.AGENT, "RevisionUnreadable", sentence))
            _log.warning("revision not read", revision=name, error=str(error) or type(error).__name__)
            return False
        self._revisions = {name: content}
        self._announce(proxy, content)
        return True

    def _announce(self, proxy: NodeProxy, content: _Content) -> None:
        self._trouble(_about_unknown(proxy.spec.revision_name, content.unknown))
        spec, metadata = proxy.spec, proxy.metadata
        self._tell(
            Desired(
                content.spec,
                metadata.generation,
                spec.revision_name,
                remove=spec.action is Action.REMOVE,
                give_back=spec.action is Action.GIVE_BACK,
                reported=proxy.status,
                uid=metadata.uid,
                change=spec.change,
            )
        )

    async def _fetched(self, spec: NodeProxySpec) -> _Content:
        """As `_fetch`; of a node that is given back the revision may have gone with its ProxyConfig, and then what is in force counts."""
        try:
            return await self._fetch(spec.revision_name)
        except ApiError as error:
            if spec.action is Action.GIVE_BACK and is_missing(error):
                return _Content(ProxyConfigSpec())
            raise

    async def _fetch(self, name: str) -> _Content:
        raw = await self._connection.get(path_of("apps/v1", "controllerrevisions", name, namespace=NAMESPACE))
        data = bytes(msgspec.json.decode(raw, type=_Revision).data)
        return _Content(parse_revision(data), unknown_fields(msgspec.json.decode(data)))


def _about_unknown(revision: str, fields: Sequence[str]) -> Finding | None:
    if not fields:
        return None
    sentence = (
        f"this version of the agent does not know, and ignores, fields of ControllerRevision {revision}: {listed(fields)}; update the agent"
    )
    return Finding(Topic.AGENT, "UnknownFields", sentence)


def _change(rollout: Rollout) -> NodeChange:
    """As the operator would write it into a NodeProxy."""
    return NodeChange(probes=rollout.probes, hold_period=rollout.hold_period, on_failure=rollout.on_failure)


def _order(proxy: NodeProxy) -> tuple[str, NodeProxySpec]:
    return proxy.metadata.uid, proxy.spec


class FileSource:
    """Follows a ProxyConfig manifest in a file."""

    def __init__(self, path: Path, tell: Tell, trouble: Trouble) -> None:
        self._path, self._tell, self._trouble = path, tell, trouble

    def read(self) -> Desired:
        """Raises ConfigurationError with a sentence."""
        document = document_of(self._path, "configuration")
        if not isinstance(document, dict):
            raise ConfigurationError(f"{self._path} is not a ProxyConfig manifest: it must be one mapping with metadata and spec")
        try:
            spec = ProxyConfig.parse(document).spec
        except InvalidSpec as error:
            raise ConfigurationError(f"the configuration {self._path} is not valid: {error}") from error
        return Desired(spec, revision=f"file:{self._path.name}", change=_change(spec.rollout))

    async def run(self) -> NoReturn:
        """Tell it at once, and after each change. Raises ConfigurationError if it is not valid at the start."""
        seen = self._mark()
        self._tell(self.read())
        while True:
            await asyncio.sleep(LOOK_S)
            if (mark := self._mark()) == seen:
                continue
            seen = mark
            try:
                self._tell(self.read())
                self._trouble(None)
            except ConfigurationError as error:
                _log.warning("configuration not taken", error=str(error))
                self._trouble(Finding(Topic.AGENT, "ConfigurationInvalid", f"{error}; the last good one stays"))

    def _mark(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns
