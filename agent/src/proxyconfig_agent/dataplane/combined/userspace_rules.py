"""Which rules userspace mode has on a node: of nf_tables, or where the kernel does not have what those need, of iptables."""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.dataplane.combined import kinds
from proxyconfig_agent.dataplane.port import LackingError, Lifecycle, ModeInstance
from proxyconfig_agent.dataplane.userspace.userspace import Userspace

OWNER = "userspace"


def made() -> ModeInstance:
    """Raises TemporaryError; what this node lacks, the probe says."""
    try:
        return kinds.probed(Userspace())
    except LackingError as error:
        return _by_iptables(error.lack)


def left_behind() -> Iterator[Lifecycle]:
    """Both kinds end processes."""
    return kinds.left_behind(OWNER, Userspace, _by_iptables)


def _by_iptables(lacking: str = "") -> ModeInstance:
    from proxyconfig_agent.dataplane.combined.userspace_by_iptables import UserspaceByIptables  # noqa: PLC0415 - costs memory

    return UserspaceByIptables(lacking)
