"""The change of this node in a file, so that a restarted agent goes on with it, or goes back.

In /run, which is empty after a boot, as the kernel's tables are. Nothing but a change of this network namespace counts.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from proxyconfig_agent.checks.probes.model import Answer
from proxyconfig_agent.controller.change.change import Change, Phase
from proxyconfig_agent.node.sysctls.procsys import STATE
from proxyconfig_agent.state.checkpoint import NodeOrder, order_of
from proxyconfig_agent.watch.desired import Desired
from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_api.objects.nodeproxy import NodeChange

FORMAT = 1

_log = structlog.get_logger("change")


class _Recorded(Struct, frozen=True):
    format: int
    phase: Phase
    new: NodeOrder
    old: NodeOrder | None
    before: tuple[Answer, ...]
    after: tuple[Answer, ...]
    reason: str
    message: str
    retry: str = ""
    """Of the order to change to `new`."""


class ChangeRecord:
    """The file of the network namespace of the thread that makes this."""

    def __init__(self, directory: Path = STATE) -> None:
        self._path = directory / f"change-{os.stat('/proc/thread-self/ns/net').st_ino}"

    def save(self, change: Change) -> None:
        """Replace the file in one step. A failure is logged: a restarted agent starts anew then, without a way back."""
        old = _order(change.old) if change.old is not None else None
        parts = change.before, change.after, change.reason, change.message
        octets = msgspec.json.encode(_Recorded(FORMAT, change.phase, _order(change.new), old, *parts, change.new.change.retry))
        scratch = self._path.with_suffix(".tmp")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_bytes(octets)
            scratch.replace(self._path)
        except OSError as error:
            _log.warning("change not recorded", file=str(self._path), error=error.strerror)

    def load(self) -> Change | None:
        """What an earlier agent recorded; None if there is nothing that can be used."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_Recorded)
            if found.format != FORMAT:
                return None
            old = _desired(found.old) if found.old is not None else None
            new = replace(_desired(found.new), change=NodeChange(retry=found.retry))
            return Change(new, old, found.phase, found.before, found.after, reason=found.reason, message=found.message)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, InvalidSpec) as error:
            _log.warning("recorded change not usable", file=str(self._path), error=str(error))
            return None

    def delete(self) -> None:
        """The node has nothing that could be gone back to."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def _order(desired: Desired) -> NodeOrder:
    return order_of(desired.spec, desired.generation, desired.revision, desired.uid)


def _desired(order: NodeOrder) -> Desired:
    """Raises InvalidSpec."""
    return Desired(order.parsed(), order.generation, order.revision, uid=order.uid)
