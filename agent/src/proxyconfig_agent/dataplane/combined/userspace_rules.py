"""Which rules userspace mode has on a node: of nf_tables, or where the kernel does not have what those need, of iptables."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from proxyconfig_agent.dataplane.ownership import Ownership
from proxyconfig_agent.dataplane.port import DataplaneError, LackingError, Lifecycle, ModeInstance
from proxyconfig_agent.dataplane.userspace.userspace import Userspace

OWNER = "userspace"

_log = structlog.get_logger("userspace")


def made() -> ModeInstance:
    """Raises TemporaryError; what this node lacks, the probe says."""
    try:
        return _probed(Userspace())
    except LackingError as error:
        return _by_iptables(error.lack)


def left_behind() -> Iterator[Lifecycle]:
    """Rules of the one kind, then of the other; both end processes. Without nf_tables there are no tables, which proves their removal."""
    try:
        yield Userspace()
    except DataplaneError as error:
        _log.info("no tables of userspace mode can be in this kernel", reason=str(error))
        yield _by_iptables()
    else:
        if Ownership(owner=OWNER):
            yield _by_iptables()


def _probed(mode: Userspace) -> Userspace:
    try:
        mode.probe()
    except DataplaneError:
        mode.close()
        raise
    return mode


def _by_iptables(lacking: str = "") -> ModeInstance:
    from proxyconfig_agent.dataplane.combined.userspace_by_iptables import UserspaceByIptables  # noqa: PLC0415 - costs memory

    return UserspaceByIptables(lacking)
