"""Networks as intervals: merged, since the kernel refuses intervals that overlap."""

from __future__ import annotations

from collections.abc import Iterable

from proxyconfig_agent.ingest.model import Network


def merged(networks: Iterable[Network]) -> list[tuple[bytes, bytes]]:
    """The first and last address of each interval, sorted; those that overlap or touch are one."""
    intervals: list[tuple[int, int]] = []
    size = 0
    for first, last, size in sorted(map(_bounds, networks)):  # noqa: B007 — all have the same size
        if intervals and first <= intervals[-1][1] + 1:
            intervals[-1] = (intervals[-1][0], max(last, intervals[-1][1]))
        else:
            intervals.append((first, last))
    return [(first.to_bytes(size), last.to_bytes(size)) for first, last in intervals]


def _bounds(network: Network) -> tuple[int, int, int]:
    size = len(network.base)
    hosts = (1 << 8 * size - network.prefix) - 1
    first = int.from_bytes(network.base) & ~hosts
    return first, first | hosts, size
