"""iptables' programs: found the way kube-proxy's image finds them, asked what they have, and fed with what they are to have.

Nothing of the API ever is on a command line: rules go through the standard input of iptables-restore, and there is no shell.
"""

from __future__ import annotations

import enum
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

from proxyconfig_agent.dataplane.iptables.tools.program import LockedError, ToolError, file, pour, rehearse, run
from proxyconfig_agent.dataplane.port import LackingError
from proxyconfig_agent.ingest.model import Family

LOCK_S = 5
"""How long a program waits for the lock of iptables-legacy by itself, as kube-proxy lets it."""

LOCK_ATTEMPTS = 3

OLDEST = (1, 6, 2)
"""Since then iptables-restore waits for the lock (-w) and MASQUERADE knows --random-fully."""

_STEMS = {Family.IPV4: "iptables", Family.IPV6: "ip6tables"}
_LISTS = {Family.IPV4: "ip_tables_names", Family.IPV6: "ip6_tables_names"}
"""The files of the kernel that name the tables of iptables-legacy."""

_KUBELET = re.compile(r":KUBE-(IPTABLES-HINT|KUBELET-CANARY) ")

_log = structlog.get_logger("iptables")


class Backend(enum.StrEnum):
    """The kernel's interface that the rules go through. Rules of one are not seen by the other."""

    NFT = "nft"
    LEGACY = "legacy"


class Tool:
    """The programs of one family and back end, run in the network namespace of the calling thread."""

    def __init__(self, family: Family, backend: Backend) -> None:
        self.family, self.backend = family, backend

    def save(self, table: str = "") -> Iterator[str]:
        """The lines that iptables-save prints, of one table or of all that there are. Raises ToolError."""
        output = run([self._program("save"), *(["-t", table] if table else [])])
        with output:
            for line in output:
                yield line.decode(errors="replace")

    def chain(self, table: str, name: str) -> Iterator[str]:
        """The lines that iptables-save prints of one built-in chain, without reading any other. Raises ToolError."""
        yield from (f"*{table}\n", f":{name} ACCEPT\n")
        with run([self._program(), "-w", str(LOCK_S), "-t", table, "-S", name]) as output:
            for line in output:
                if line.startswith(b"-A "):
                    yield line.decode(errors="replace")

    def restore(self, text: Iterable[bytes | bytearray], *, test: bool = False) -> None:
        """Feed `iptables-restore --noflush`. A `test` reads the input and changes nothing. Raises ToolError."""
        argv = [self._program("restore"), "-w", str(LOCK_S), "--noflush", *(["--test"] if test else [])]
        with file() as given:
            for part in text:
                given.write(part)
            given.flush()
            for attempt in range(LOCK_ATTEMPTS):
                given.seek(0)
                try:
                    if test:
                        rehearse(argv, given)
                    else:
                        run(argv, given).close()
                except LockedError as error:
                    if attempt == LOCK_ATTEMPTS - 1:
                        raise
                    _log.warning("another program holds the lock of iptables; trying again", error=str(error))
                else:
                    return

    def pour(self, text: Iterable[bytes]) -> None:
        """Like `restore`, but the program reads while the text is made, all of which is taken whatever happens. Raises ToolError."""
        pour([self._program("restore"), "-w", str(LOCK_S * LOCK_ATTEMPTS), "--noflush"], text)

    def version(self) -> str:
        """As it prints it, `1.8.9`. Raises ToolError, also for one that is too old."""
        with run([self._program(), "--version"]) as output:
            printed = output.read().decode(errors="replace")
        match = re.search(r"v(\d+(?:\.\d+)+)", printed)
        version = match[1] if match else printed.strip()
        if not match or tuple(map(int, version.split("."))) < OLDEST:
            raise ToolError(f"{self._program()} {version} is too old: {'.'.join(map(str, OLDEST))} or later is needed; update iptables")
        return version

    def _program(self, what: str = "") -> str:
        return _program(self.family, self.backend, what)


def backends() -> tuple[Backend, ...]:
    """The back end that `choose` finds, and behind it the other one if it is installed: a kernel may lack the interface of the first.
    Raises ToolError and LackingError."""
    return tuple(dict.fromkeys((choose(), *_installed())))


def _installed() -> list[Backend]:
    return [backend for backend in Backend if shutil.which(f"iptables-{backend}-restore")]


def choose() -> Backend:
    """The back end that the rest of this node uses, as kube-proxy's image tells it (kubernetes-sigs/iptables-wrappers): where the kubelet
    has made its chains; without those, where there are more rules; nft if there are none. Raises ToolError and LackingError."""
    installed = _installed()
    if not installed:
        return _plain()
    if len(installed) == 1:
        return installed[0]
    if _kubelet(Backend.NFT, "mangle"):
        return Backend.NFT
    # Not of table mangle alone: iptables-legacy would make it.
    if _kubelet(Backend.LEGACY):
        return Backend.LEGACY
    return Backend.LEGACY if _rules(Backend.LEGACY) > _rules(Backend.NFT) else Backend.NFT


def left_by_legacy(used: Backend) -> Iterator[Tool]:
    """The programs of iptables-legacy on a node that uses iptables-nft and has tables of the other back end, whose rules are in force."""
    for family in Family:
        if used is Backend.NFT and legacy_tables_of(family) and shutil.which(f"{_STEMS[family]}-{Backend.LEGACY}-restore"):
            yield Tool(family, Backend.LEGACY)


def legacy_tables_of(family: Family) -> list[str]:
    """The tables of iptables-legacy that there are in the network namespace of the calling thread: to open another one makes it."""
    path = Path("/proc/thread-self/net", _LISTS[family])
    return path.read_text().split() if path.exists() else []


def _plain() -> Backend:
    """Where there is only one iptables, it says itself which it is. Raises LackingError where there is none."""
    if not shutil.which("iptables"):
        raise LackingError("iptables", "iptables is not installed", "install the package iptables")
    with run([_program(Family.IPV4, Backend.NFT), "--version"]) as output:
        return Backend.NFT if b"nf_tables" in output.read() else Backend.LEGACY


def _kubelet(backend: Backend, table: str = "") -> bool:
    return any(_KUBELET.match(line) for line in _saved(backend, table))


def _rules(backend: Backend) -> int:
    return sum(line.startswith("-") for line in _saved(backend))


def _saved(backend: Backend, table: str = "") -> Iterator[str]:
    """Both families. One that cannot be read has nothing in it."""
    for family in Family:
        try:
            yield from Tool(family, backend).save(table)
        except ToolError:
            continue


def _program(family: Family, backend: Backend, what: str = "") -> str:
    """The program of the back end, or the only one that there is."""
    stem, tail = _STEMS[family], f"-{what}" if what else ""
    for name in (f"{stem}-{backend}{tail}", f"{stem}{tail}"):
        if path := shutil.which(name):
            return path
    raise ToolError(f"{stem}{tail} is not installed; install the package iptables")
