"""What the kernel has sent to say no, in the network namespace of the calling thread, from /proc.

TCP's counters are those of both families (`TCP_MIB_OUTRSTS`). ICMP's have each family apart, and messages that a rate limit held back
are counted in their own fields, on kernels that have these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

_UNREACHABLE = ("Icmp.OutDestUnreachs", "Icmp6OutDestUnreachs")
_LIMITED = ("Icmp.OutRateLimitGlobal", "Icmp.OutRateLimitHost", "Icmp6OutRateLimitHost")


class Refusals(Struct, frozen=True):
    """Since the namespace is there. None: the kernel does not say."""

    resets: int | None = None
    """TCP segments with RST."""
    unreachable: int | None = None
    """Packets that were answered with ICMP Destination Unreachable, or would have been without a rate limit: rejects are among them."""


def read(net: Path = Path("/proc/thread-self/net")) -> Refusals:
    found = dict(_fields(_lines(net / "snmp"))) | dict(_fields6(_lines(net / "snmp6")))
    return Refusals(found.get("Tcp.OutRsts"), _sum(found, _UNREACHABLE, _LIMITED))


def _sum(found: Mapping[str, int], needed: Iterable[str], more: Iterable[str]) -> int | None:
    """None without any of `needed`; a kernel without IPv6 has those of IPv4 alone."""
    there = [found[name] for name in needed if name in found]
    return sum(there) + sum(found.get(name, 0) for name in more) if there else None


def _fields(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Pairs of lines: `Tcp: NAME NAME`, then `Tcp: 1 2`."""
    for head, row in pairwise(line.split() for line in lines):
        if head[:1] == row[:1] and head[1:] and not head[1].lstrip("-").isdigit():
            yield from ((f"{head[0][:-1]}.{name}", int(value)) for name, value in zip(head[1:], row[1:], strict=False))


def _fields6(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    """A name and a number on each line."""
    for line in lines:
        name, _, value = line.partition("\t")
        if value.strip().isdigit():
            yield name.strip(), int(value)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
