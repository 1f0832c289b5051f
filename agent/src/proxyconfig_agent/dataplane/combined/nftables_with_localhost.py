"""nftables mode, with a proxy process for NodePorts on loopback addresses where the spec asks for it (as upstream's KEP-6032).

The kernel routes nothing from a loopback address to another node, unless route_localnet opens 127.0.0.0/8 to the network; of IPv6 it never
does. So these connections end at the process, by rules in a separate table.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from proxyconfig_agent.dataplane.combined.node_ports import at_localhost, node_port_change, node_port_of
from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.port import Change, Outcome, ProbeResult, Settings
from proxyconfig_agent.dataplane.tables.kernel import dump
from proxyconfig_agent.dataplane.tables.kernel.connect import connected
from proxyconfig_agent.dataplane.userspace.kernel import processes
from proxyconfig_agent.dataplane.userspace.model.table import table_of
from proxyconfig_agent.dataplane.userspace.proxy.control.names import LOCALHOST
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.select.frontends import Frontends

if TYPE_CHECKING:
    from proxyconfig_agent.dataplane.userspace.userspace import Userspace


class NftablesWithLocalhost:
    """In the network namespace of the thread that makes it. What belongs to the process is made with the first spec that asks for it."""

    def __init__(self) -> None:
        """Raises DataplaneError where the kernel has no nf_tables."""
        self._mode = Nftables()
        self._made: Userspace | None = None
        self._serves = False
        self._is_clean = False
        """Nothing of an earlier agent's process is left."""

    def probe(self) -> ProbeResult:
        return self._mode.probe()

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        wanted = tuple(wanted)
        outcome = self._mode.resync(settings, wanted)
        if not settings.localhost_node_ports:
            self._end()
            return outcome
        self._serves, self._is_clean = True, False
        node_ports = [node_port for frontends in wanted if (node_port := node_port_of(frontends)) is not None]
        return together(outcome, self._localhost().resync(at_localhost(settings), node_ports))

    def apply(self, changes: Iterable[Change]) -> Outcome:
        changes = tuple(changes)
        outcome = self._mode.apply(changes)
        if not self._serves or not (concerned := _concerned(changes)):
            return outcome
        return together(outcome, self._localhost().apply(concerned))

    def is_slow(self, changes: Sequence[Change]) -> bool:
        return self._mode.is_slow(changes) or (self._serves and bool(_concerned(changes)))

    def disturbed(self) -> bool:
        by_others = self._mode.disturbed()
        return (self._serves and self._localhost().disturbed()) or by_others

    def remove(self) -> None:
        self._mode.remove()
        self._is_clean = False
        self._end()

    def disarm(self) -> bool:
        if self._serves or _is_here():
            self._localhost().disarm()
        return self._mode.disarm()

    def arm(self) -> None:
        self._mode.arm()
        if self._serves:
            self._localhost().arm()

    def retire(self, drain_s: float) -> bool:
        self._end()
        return self._mode.retire(drain_s)

    def scan(self) -> list[str]:
        found = self._mode.scan()
        return [*found, *self._localhost().scan()] if _is_here() else found

    def close(self) -> None:
        if self._made is not None:
            self._made.close()
        self._mode.close()

    def _localhost(self) -> Userspace:
        if self._made is None:
            from proxyconfig_agent.dataplane.userspace.userspace import Userspace  # noqa: PLC0415 - costs memory where nobody asks for it

            self._made = Userspace(purpose=LOCALHOST)
            self._mode.writer.join(self._made.writer)
        return self._made

    def _end(self) -> None:
        """Raises DataplaneError and OSError."""
        if not self._is_clean and _is_here():
            self._localhost().remove()
        self._serves, self._is_clean = False, True


def together(mode: Outcome, localhost: Outcome) -> Outcome:
    """One outcome of both; a Service that both refuse is refused once."""
    refused = {refusal.service: refusal for refusal in (*localhost.refused, *mode.refused)}
    took_s = {stage: mode.took_s.get(stage, 0.0) + localhost.took_s.get(stage, 0.0) for stage in {**mode.took_s, **localhost.took_s}}
    return replace(
        mode,
        operations=mode.operations + localhost.operations,
        refused=tuple(refused.values()),
        took_s=took_s,
        repaired="; ".join(filter(None, (mode.repaired, localhost.repaired))),
        abandoned=(*mode.abandoned, *localhost.abandoned),
        relays=localhost.relays,
    )


def _concerned(changes: Iterable[Change]) -> list[Change]:
    return [concerned for change in changes if (concerned := node_port_change(change)) is not None]


def _is_here() -> bool:
    """Whether there is anything of the process, or its rules. Raises DataplaneError and OSError."""
    with contextlib.closing(connected("nftables")) as kernel:
        tables = [family for family in Family if dump.actual_table(kernel, table_of(family, LOCALHOST))]
    return bool(tables or processes.found(LOCALHOST))
