"""The addresses of this node: those that its interfaces have, and those that its Node object says."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from proxyconfig_agent.ingest.model import Node
from proxyconfig_agent.node.addresses import rtnetlink
from proxyconfig_agent.node.addresses.known_addresses import KnownAddresses
from proxyconfig_agent.node.addresses.local_address import LocalAddress
from proxyconfig_agent.state.findings import Finding


class NodeAddresses:
    """`changed` is called when those of the interfaces do."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self.local: tuple[LocalAddress, ...] | None = None
        """None: not read yet."""
        self._known = KnownAddresses()

    async def watch(self) -> None:
        """Until cancelled."""
        async for local in rtnetlink.watch():
            self.local = local
            self._changed()

    def in_force(self, node: Node) -> tuple[Node, tuple[Finding, ...]]:
        """The Node; without addresses in its status, it has those from before."""
        if self.local is None:
            return node, ()
        addresses, findings = self._known.in_force(node.addresses, self.local)
        return replace(node, addresses=addresses), findings
