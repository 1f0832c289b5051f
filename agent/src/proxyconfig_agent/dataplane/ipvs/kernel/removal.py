"""The end of the mode on a node: what is ours by its mark goes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_agent.dataplane.ipvs.kernel import bound_addresses
from proxyconfig_agent.dataplane.ipvs.kernel.kernel import Kernel
from proxyconfig_agent.dataplane.ipvs.kernel.servers import text
from proxyconfig_agent.dataplane.ipvs.model.kube_proxy import LINK
from proxyconfig_agent.dataplane.ipvs.model.table import table_of
from proxyconfig_agent.dataplane.tables.kernel.dump import actual_table, scanned
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.ingest.model import Address, Family, text_of
from proxyconfig_agent.netlink.nftables import messages as wire


def delete_tables(kernel: Kernel) -> None:
    """No new connection is led to a virtual server any more. Raises KernelError."""
    kernel.writer.commit([wire.delete_table(table) for table in map(table_of, Family) if actual_table(kernel.tables, table)])


def remove(kernel: Kernel) -> None:
    """First what leads to virtual servers, then they themselves. Raises OSError, KernelError."""
    delete_tables(kernel)
    kernel.servers.delete(kernel.servers.held().schedulings)
    for family in NFPROTO.values():
        kernel.routes.remove(kernel.routes.held(family))
    bound_addresses.remove()


def scan(kernel: Kernel) -> Iterator[str]:
    """Raises OSError, KernelError."""
    for table in map(table_of, Family):
        yield from scanned(kernel.tables, table)
    yield from (f"virtual server {text(server)}" for server in sorted(kernel.servers.held().schedulings))
    for family in NFPROTO.values():
        yield from (f"route local {text_of(Address(address))}" for address in sorted(kernel.routes.held(family)))
    if bound_addresses.is_ours():
        yield f"link {LINK}"
