"""The jumps from the built-in chains, which lead packets to this mode's: taken, given back, or removed together with all chains."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from proxyconfig_agent.dataplane.iptables.delta import Edits
from proxyconfig_agent.dataplane.iptables.model.static_rules import JUMPS, JUMPS_OF_IPVS, JUMPS_TO_SERVERS
from proxyconfig_agent.dataplane.iptables.sync import reconcile
from proxyconfig_agent.dataplane.iptables.sync.batches import BATCH, portions
from proxyconfig_agent.dataplane.iptables.tools.binaries import Tool
from proxyconfig_agent.dataplane.iptables.tools.restore import Input
from proxyconfig_agent.dataplane.iptables.tools.save import Saved, parse
from proxyconfig_agent.dataplane.iptables.tools.writer import Writer


def take(writer: Writer, jumps: reconcile.Jumps) -> None:
    """The chains stay, and no packet meets them. Raises ToolError, OSError."""
    _edit(writer, jumps, reconcile.unhooked)


def give(writer: Writer, jumps: reconcile.Jumps) -> None:
    """Those that are missing. Raises ToolError, OSError."""
    _edit(writer, jumps, reconcile.hooked)


def remove(tools: Iterable[Tool]) -> None:
    """Take away all of this mode. Raises ToolError."""
    for tool in tools:
        for portion in portions(reconcile.removal((*JUMPS, *JUMPS_OF_IPVS, *JUMPS_TO_SERVERS), parse(tool.save())), BATCH[tool.backend]):
            given = Input(())
            given.add(portion)
            if given.commits:
                tool.restore(given.text())


def _edit(writer: Writer, jumps: reconcile.Jumps, edits: Callable[[reconcile.Jumps, Saved], Edits]) -> None:
    """By the built-in chains alone: to read those of 5,000 Services takes seconds."""
    chains = dict.fromkeys((chain.table.value, chain.name) for chain, _ in jumps)
    for family, tool in writer.tools.items():
        given = Input(())
        given.add(edits(jumps, parse(line for table, name in chains for line in tool.chain(table, name))))
        writer.commit(family, given)
