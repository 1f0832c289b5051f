"""Reads and writes kernel parameters under /proc/sys, and keeps their previous values in a file. All I/O of `sysctls` is here.

In a container without privileges /proc/sys is mounted read-only. Writing a parameter of the network namespace needs no more
than CAP_NET_ADMIN though, so the pod mounts the host's /proc/sys/net once more, writable, under `/host`.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from proxyconfig_agent.node.sysctls.sysctls import Changed, Requested, Write, normal, plan
from proxyconfig_agent.state.findings import Finding, Topic
from proxyconfig_api.objects.names import STATE_FOLDER

_log = structlog.get_logger("sysctls")

ROOTS = (Path("/host/proc/sys"), Path("/proc/sys"))
"""Where parameters are looked for: the first one that exists serves."""

STATE = Path(STATE_FOLDER)


class Parameters(Protocol):
    """The kernel's parameters by dotted name. Both raise OSError with the kernel's errno."""

    def read(self, name: str) -> str: ...

    def write(self, name: str, value: str) -> None: ...


class ProcSys:
    """Parameters as files under `root`, which is /proc/sys or another mount of it."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or next((path for path in ROOTS if path.is_dir()), ROOTS[-1])

    def path(self, name: str) -> Path:
        """As sysctl(8) does it: dots separate, and a slash stands for a dot inside of an interface's name.

        Raises FileNotFoundError for a name that would leave the tree."""
        parts = [part.replace("/", ".") for part in name.split(".")]
        if any(part in ("", ".", "..") for part in parts):
            raise FileNotFoundError(errno.ENOENT, "not the name of a sysctl", name)
        return self.root.joinpath(*parts)

    def read(self, name: str) -> str:
        return normal(self.path(name).read_text())

    def write(self, name: str, value: str) -> None:
        # No O_CREAT: a missing parameter has to be ENOENT, on every file system.
        descriptor = os.open(self.path(name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)


def present(names: Iterable[str], parameters: Parameters | None = None) -> dict[str, str]:
    """The values of those that the kernel has."""
    source, values = parameters or ProcSys(), dict[str, str]()
    for name in names:
        with contextlib.suppress(OSError):
            values[name] = source.read(name)
    return values


class Ledger:
    """The sysctls that the agent changed in this network namespace, in a file that outlives the process; in memory alone where that cannot
    be written.

    The file is named after the namespace, as the parameters belong to that; /run is empty after a boot, as they are."""

    def __init__(self, directory: Path = STATE, namespace: int | None = None) -> None:
        inode = os.stat("/proc/thread-self/ns/net").st_ino if namespace is None else namespace
        self.path = directory / f"sysctls-{inode}.json"
        self.changes = self._load()
        self._saved = dict(self.changes)

    def _load(self) -> dict[str, Changed]:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=dict[str, Changed])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("previous sysctls unreadable", file=str(self.path), error=str(error))
            return {}

    def save(self) -> Finding | None:
        """Write the changes to the file if it does not hold them yet. Return what a user should know when that fails."""
        if self.changes == self._saved:
            return None
        try:
            self._replace()
        except OSError as error:
            text = f"{self.path}: {error.strerror}; the previous values of sysctls are lost when the agent restarts: mount {STATE} writable"
            return Finding(Topic.SYSCTLS, "PreviousValuesNotSaved", text, harmless=True)
        self._saved = dict(self.changes)
        return None

    def _replace(self) -> None:
        """Atomically; without changes the file goes."""
        if not self.changes:
            self.path.unlink(missing_ok=True)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self.path.with_suffix(".tmp")
        scratch.write_bytes(msgspec.json.encode(self.changes))
        scratch.replace(self.path)


def reconcile(requested: Iterable[Requested], parameters: Parameters, ledger: Ledger, kept: Collection[str] = ()) -> tuple[Finding, ...]:
    """Set `requested`, and restore what the agent changed before and nothing asks for any more, except for those `kept`; with nothing
    requested or kept, everything.

    Never raises: what cannot be read or set is a finding with the kernel's reason. The previous values are in the ledger's file before
    the first one is written: a process that is killed at any moment leaves what a later one restores."""
    requested = tuple(requested)
    actual: dict[str, str] = {}
    findings = list(_read(requested, ledger, parameters, actual))
    todo = plan(requested, actual, ledger.changes, kept)
    for name in todo.forgotten:
        _log.info("sysctl left alone", name=name, reason="changed by something else", value=actual[name])
        del ledger.changes[name]
    earlier = dict(ledger.changes)
    ledger.changes |= {write.name: Changed(write.before, None) for write in todo.writes if write.before is not None}
    ledger.save()
    failed = [finding for write in todo.writes if (finding := _write(write, actual[write.name], parameters, ledger, earlier))]
    unsaved = ledger.save()
    return (*findings, *todo.findings, *failed, *((unsaved,) if unsaved else ()))


def _read(requested: tuple[Requested, ...], ledger: Ledger, parameters: Parameters, actual: dict[str, str]) -> Iterator[Finding]:
    topics = {each.name: each.topic for each in requested}
    for name in (*topics, *(name for name in tuple(ledger.changes) if name not in topics)):
        try:
            actual[name] = parameters.read(name)
        except OSError as error:
            if name in topics:
                yield _refusal(name, topics[name], error)
            else:
                # Its interface or module is gone, and the value with it.
                _log.info("sysctl gone", name=name)
                del ledger.changes[name]


def _write(write: Write, now: str, parameters: Parameters, ledger: Ledger, earlier: Mapping[str, Changed]) -> Finding | None:
    """`earlier`: the ledger's changes before this reconciliation."""
    try:
        parameters.write(write.name, write.value)
    except OSError as error:
        ledger.changes.pop(write.name, None)
        ledger.changes |= {name: change for name, change in earlier.items() if name == write.name}
        return _refusal(write.name, write.topic, error, f"it stays at {now} (requested {write.value})")
    if write.before is None:
        ledger.changes.pop(write.name, None)
        _log.info("sysctl restored", name=write.name, was=now, value=write.value)
        return None
    return _settle(write, write.before, now, parameters, ledger)


def _settle(write: Write, before: str, now: str, parameters: Parameters, ledger: Ledger) -> Finding | None:
    """Note what the kernel made of the value: it may round (nf_conntrack_buckets) or clamp, and that is what is compared with later."""
    try:
        after = parameters.read(write.name)
    except OSError as error:
        return _refusal(write.name, write.topic, error)
    _log.info("sysctl set", name=write.name, was=now, value=after)
    ledger.changes[write.name] = Changed(before, after)
    return None


_REASONS = {
    errno.ENOENT: ("SysctlMissing", "the kernel has no such parameter; load the module that brings it, or remove it from the ProxyConfig"),
    errno.EROFS: ("SysctlReadOnly", "/proc/sys is mounted read-only; mount the host's /proc/sys/net writable at /host/proc/sys/net"),
    errno.EACCES: ("SysctlRefused", "the kernel refuses it in this network namespace or to this process; set it on the host itself"),
    errno.EPERM: ("SysctlRefused", "the agent lacks the capability for it; set it on the host itself"),
    errno.EINVAL: ("SysctlInvalid", "the kernel does not accept this value; correct it in the ProxyConfig"),
}


def _refusal(name: str, topic: Topic, error: OSError, effect: str = "") -> Finding:
    reason, advice = _REASONS.get(error.errno or 0, ("SysctlRefused", "set it on the host itself"))
    return Finding(topic, reason, f"{name}: {'; '.join(filter(None, (error.strerror, effect)))}; {advice}")
