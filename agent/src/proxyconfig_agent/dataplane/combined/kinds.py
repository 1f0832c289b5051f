"""The two kinds of rules that a mode can have: of nf_tables, or where the kernel does not have what those need, of iptables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import structlog

from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_agent.dataplane.port import DataplaneError, Lifecycle, ModeInstance

M = TypeVar("M", bound=ModeInstance)


def probed(mode: M) -> M:
    """The mode, if it works on this node. Raises what its probe raises; it is closed then."""
    try:
        mode.probe()
    except DataplaneError:
        mode.close()
        raise
    return mode


def left_behind(owner: str, of_tables: Callable[[], Lifecycle], by_iptables: Callable[[], Lifecycle]) -> Iterator[Lifecycle]:
    """Rules of the one kind, then of the other if `owner` has any. Without nf_tables there are no tables, which proves their removal."""
    try:
        yield of_tables()
    except DataplaneError as error:
        structlog.get_logger(owner).info(f"no tables of {owner} mode can be in this kernel", reason=str(error))
        yield by_iptables()
    else:
        if Ownership(owner=owner):
            yield by_iptables()
