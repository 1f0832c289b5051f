"""The modes that are compared: how a proxy is configured, and how the kernel is asked what it has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.bench import ipvs, legacy, nftables
from tests.cluster import cache
from tests.cluster.command import run

FIRST_SYNC_WITHIN_S = 300
_LEGACY = "xtables-legacy-multi"
_PROGRAMS = tuple(f"{stem}{tail}" for stem in ("iptables", "ip6tables") for tail in ("", "-save", "-restore"))


class Tables(Protocol):
    """What the kernel has in one namespace."""

    def generation(self) -> int:
        """Another number after every commit of a first sync."""
        ...

    def words(self) -> set[int]:
        """All IPv4 addresses in it, as `nftables.word_of` makes them numbers, and perhaps more. Raises InterruptedDumpError."""
        ...

    def close(self) -> None: ...


class Events(Protocol):
    """When the kernel gets an address."""

    def arrival(self, address: str, cluster_ip: str) -> asyncio.Future[float]:
        """When it has this one for the Service at the ClusterIP (monotonic seconds); to be called before it can have it."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode with a back end. `name` is what results.json says, `proxy` what configurations say."""

    name: str
    proxy: str
    words: str
    tables: Callable[[str], Tables]
    """Of a namespace, by its name."""
    events: Callable[[str], Events]
    prepare: Callable[[str], None] = lambda _: None
    """Make of a fresh namespace what it is where a kubelet runs."""
    folder: Callable[[], Path | None] = lambda: None
    """Where the programs are that are to be found first."""
    first_sync_within_s: int = FIRST_SYNC_WITHIN_S
    is_here: Callable[[], bool] = lambda: True
    """Whether this machine's kernel can do it."""


def _hint(program: str) -> Callable[[str], None]:
    """The kubelet's chain, from which proxies tell which back end a node uses."""

    def make(namespace: str) -> None:
        run("ip", "netns", "exec", namespace, program, "iptables", "-w", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT")

    return make


def _legacy_programs() -> Path:
    """kube-proxy's image links these names to the back end of its node."""

    def link(folder: Path) -> None:
        for name in _PROGRAMS:
            (folder / name).symlink_to(f"/usr/sbin/{_LEGACY}")

    return cache.entry("iptables-legacy", "links", link)


NFTABLES = Mode("nftables", "nftables", "nftables mode", nftables.Ruleset, nftables.Events)
IPTABLES = Mode(
    "iptables",
    "iptables",
    "iptables mode, through nf_tables",
    nftables.Ruleset,
    nftables.Events,
    _hint("xtables-nft-multi"),
)
IPTABLES_LEGACY = Mode(
    "iptables-legacy",
    "iptables",
    "iptables mode, legacy",
    legacy.LegacyTables,
    legacy.LegacyEvents,
    _hint(_LEGACY),
    _legacy_programs,
)
IPVS = Mode(
    "ipvs",
    "ipvs",
    "ipvs mode",
    ipvs.VirtualServers,
    ipvs.Arrivals,
    _hint("xtables-nft-multi"),
    first_sync_within_s=1500,
    is_here=ipvs.is_there,
)
MODES: Mapping[str, Mode] = {mode.name: mode for mode in (NFTABLES, IPTABLES, IPTABLES_LEGACY, IPVS)}
