"""What the node last knew of the cluster, in a file: after a boot it serves that until the API server answers.

Values are written one after the other, each behind its length, so that nothing of the size of the cluster is held twice.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
import structlog
from msgspec import Struct

from proxyconfig_agent.ingest.model import EndpointSlice, Network, Node, Service, Traits
from proxyconfig_api.encoding import codec
from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_api.spec.sections import ProxyConfigSpec

FORMAT = 1
"""Of the file. One of another format is as good as none: the next save replaces it."""

T = TypeVar("T")

_BUFFER_BYTES = 1 << 18
"""Of one read or write: a thread that makes many keeps the event loop waiting (ADR 8)."""

_LENGTH = struct.Struct(">I")
_log = structlog.get_logger("checkpoint")


class NodeOrder(Struct, frozen=True):
    """What the node was to do. `spec` is JSON, as the API has it."""

    spec: bytes
    generation: int = 0
    revision: str = ""
    uid: str = ""

    def parsed(self) -> ProxyConfigSpec:
        """Raises InvalidSpec."""
        return codec.decode(self.spec, ProxyConfigSpec)


class Header(Struct, frozen=True):
    """What comes first in the file; then that many Services, then that many EndpointSlices."""

    format: int
    saved_at: float
    """Unix seconds."""
    order: NodeOrder
    node: Node
    service_cidrs: tuple[Network, ...]
    services: int
    slices: int


class Checkpoint(Struct, frozen=True):
    """The content of a file."""

    heading: Header
    services: tuple[Service, ...]
    slices: tuple[EndpointSlice, ...]


class CheckpointFile:
    """One node's file in a folder; any thread may use it. A failure to write is logged, and the last file stays."""

    def __init__(self, folder: Path, node: str) -> None:
        self.path = folder / f"{node}.last-good"
        self._lock = threading.Lock()

    def save(self, heading: Header, services: Iterable[Service], slices: Iterable[EndpointSlice]) -> None:
        """Replace the file in one step."""
        try:
            with self._lock:
                self._write((heading, *services, *slices))
        except OSError as error:
            _log.warning("checkpoint not saved", file=str(self.path), error=error.strerror)

    def delete(self) -> None:
        """Leave no file, also none that is being written."""
        try:
            with self._lock:
                self.path.unlink(missing_ok=True)
        except OSError as error:
            _log.error("checkpoint not deleted: a boot without an API server would serve it", file=str(self.path), error=error.strerror)

    def _write(self, values: Iterable[object]) -> None:
        scratch = self.path.with_suffix(".tmp")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with scratch.open("wb", _BUFFER_BYTES) as file:
            for value in values:
                _put(file, value)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(self.path)

    def load(self) -> Checkpoint | None:
        """What the file says; None if there is none, or none that can be used, which is logged."""
        try:
            with self.path.open("rb", _BUFFER_BYTES) as file:
                return _read(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, msgspec.MsgspecError, InvalidSpec) as error:
            _log.warning("checkpoint not usable", file=str(self.path), error=str(error))
            return None


def order_of(spec: ProxyConfigSpec, generation: int, revision: str, uid: str) -> NodeOrder:
    return NodeOrder(msgspec.json.encode(codec.builtins(spec)), generation, revision, uid)


def _read(file: BinaryIO) -> Checkpoint:
    """Raises ValueError, MsgspecError or InvalidSpec."""
    heading = _take(file, Header)
    if heading.format != FORMAT:
        raise ValueError(f"it has format {heading.format}, this agent reads {FORMAT}")
    heading.order.parsed()
    services = tuple(_take(file, Service) for _ in range(heading.services))
    return Checkpoint(heading, services, tuple(_shared(_take(file, EndpointSlice) for _ in range(heading.slices))))


def _put(file: BinaryIO, value: object) -> None:
    encoded = msgspec.msgpack.encode(value)
    file.write(_LENGTH.pack(len(encoded)) + encoded)


def _take(file: BinaryIO, kind: type[T]) -> T:
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise ValueError("it ends too early")
    return msgspec.msgpack.decode(file.read(_LENGTH.unpack(head)[0]), type=kind)


def _shared(slices: Iterable[EndpointSlice]) -> Iterator[EndpointSlice]:
    """The same slices; equal traits of their endpoints are one object, as ingest makes them."""
    known: dict[Traits, Traits] = {}
    for piece in slices:
        yield replace(piece, traits=tuple(known.setdefault(traits, traits) for traits in piece.traits))
