"""The addresses of Services on a link of the name that kube-proxy's has, for programs that look for them there. Traffic needs none of it.

The link is ours by its group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.model.kube_proxy import LINK
from proxyconfig_agent.dataplane.ipvs.model.servers import GROUP
from proxyconfig_agent.dataplane.port import Change, DataplaneError
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.ingest.model import Address
from proxyconfig_agent.netlink import links
from proxyconfig_agent.select.frontends import Frontends


class BoundAddresses:
    """Memory: a number per address; nothing where the settings ask for no link."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._counts: Counter[Address] | None = None

    def resync(self, wanted: Iterable[Frontends]) -> int:
        """Bind exactly these; how many addresses were changed. Raises OSError, DataplaneError."""
        counts = Counter(address for frontends in wanted for address in _addresses(frontends))
        index = _ensured()
        bound = bound_to(self._kernel, index)
        links.delete_addresses(index, sorted(bound - counts.keys()))
        links.add_addresses(index, sorted(counts.keys() - bound))
        self._counts = counts
        return len(bound ^ counts.keys())

    def apply(self, changes: Iterable[Change]) -> None:
        """Raises OSError."""
        if self._counts is None:
            return
        change: Counter[Address] = Counter()
        for each in changes:
            change.update(_addresses(each.new))
            change.subtract(_addresses(each.old))
        bound = {address for address in change if address in self._counts}
        self._counts.update(change)
        for address in [address for address in change if self._counts[address] <= 0]:
            del self._counts[address]
        index, wanted = links.index_of(LINK), change.keys() & self._counts.keys()
        links.add_addresses(index, sorted(wanted - bound))
        links.delete_addresses(index, sorted(bound - wanted))

    def forget(self) -> None:
        """The settings ask for no link any more. Raises OSError."""
        self._counts = None
        remove()


def bound_to(kernel: Kernel, index: int) -> frozenset[Address]:
    """Raises OSError."""
    found = (each for family in NFPROTO.values() for each in kernel.routes.of_links(family).items())
    return frozenset(Address(address) for address, link in found if link == index)


def is_ours() -> bool:
    """Whether there is such a link of ours. Raises OSError."""
    index = links.index_of(LINK)
    return bool(index) and links.group_of(index) == GROUP


def remove() -> None:
    """Raises OSError."""
    if is_ours():
        links.delete(links.index_of(LINK))


def _ensured() -> int:
    if not links.index_of(LINK):
        links.add_dummy(LINK, GROUP)
    elif not is_ours():
        raise DataplaneError(
            f"spec.ipvs.bindAddresses: another program has made {LINK}; if kube-proxy left it, set spec.ipvs.adoptKubeProxy; else delete it"
        )
    return links.index_of(LINK)


def _addresses(frontends: Frontends | None) -> tuple[Address, ...]:
    if frontends is None:
        return ()
    own = (frontends.cluster_ip,) if frontends.cluster_ip else ()
    return (*own, *frontends.external_ips, *frontends.load_balancer_ips)
