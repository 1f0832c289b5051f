"""How full the kernel's connection tracking table is, and what it could not take: of this network namespace, from /proc."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

_SYSCTLS = "sys/net/netfilter/nf_conntrack_"
_COUNTERS = "net/stat/nf_conntrack"


class Statistics(Struct, frozen=True):
    """None: the kernel has no counters (no conntrack, or without CONFIG_NF_CONNTRACK_PROCFS)."""

    entries: int | None = None
    limit: int | None = None
    insert_failed: int | None = None
    """Connections that could not be confirmed, as one with the same addresses and ports was there."""
    dropped: int | None = None
    """Packets dropped since there was no entry for them: the table was full, or memory short."""


def read(proc: Path = Path("/proc")) -> Statistics:
    counters = _counters(_text(proc / _COUNTERS))
    return Statistics(
        entries=_number(_text(proc / f"{_SYSCTLS}count")),
        limit=_number(_text(proc / f"{_SYSCTLS}max")),
        insert_failed=counters.get("insert_failed"),
        dropped=counters.get("drop"),
    )


def _counters(text: str) -> dict[str, int]:
    """A line of names, then one of hexadecimal numbers per CPU; their sums, which wrap at 32 bits on each CPU."""
    names, *cpus = (line.split() for line in text.splitlines()) if text else ([],)
    return {name: sum(int(cpu[column], 16) for cpu in cpus) for column, name in enumerate(names)}


def _number(text: str) -> int | None:
    return int(text) if text else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
