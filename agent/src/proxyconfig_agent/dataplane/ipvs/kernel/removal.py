"""The end of the mode on a node: what is ours by its mark goes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.dataplane.ipvs.kernel import bound_addresses
from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.kernel.servers import text
from proxyconfig_agent.dataplane.ipvs.model.kube_proxy import LINK
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.ingest.model import Address, text_of


def remove(kernel: Kernel) -> None:
    """First what leads to virtual servers, then they themselves. Raises OSError, KernelError, DataplaneError."""
    kernel.rules.remove()
    kernel.servers.delete(kernel.servers.held().schedulings)
    for family in NFPROTO.values():
        kernel.routes.remove(kernel.routes.held(family))
    bound_addresses.remove()


def scan(kernel: Kernel) -> Iterator[str]:
    """Raises OSError, KernelError, DataplaneError."""
    yield from kernel.rules.scan()
    yield from (f"virtual server {text(server)}" for server in sorted(kernel.servers.held().schedulings))
    for family in NFPROTO.values():
        yield from (f"route local {text_of(Address(address))}" for address in sorted(kernel.routes.held(family)))
    if bound_addresses.is_ours():
        yield f"link {LINK}"
