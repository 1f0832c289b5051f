"""The rules as tables of nf_tables: maps lead to virtual servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager

from proxyconfig_agent.dataplane.ipvs.kernel.rules import Plans
from proxyconfig_agent.dataplane.ipvs.model.base_chains import LAST_CHAIN, fixed
from proxyconfig_agent.dataplane.ipvs.model.table import table_of
from proxyconfig_agent.dataplane.ipvs.sync.stale_udp import udp_destinations
from proxyconfig_agent.dataplane.port import Outcome, Rules, Settings
from proxyconfig_agent.dataplane.tables.kernel import hooks, transaction
from proxyconfig_agent.dataplane.tables.kernel.dump import actual_table, elements, scanned
from proxyconfig_agent.dataplane.tables.kernel.generation import Writer
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO, Elements
from proxyconfig_agent.dataplane.tables.repairs import Repairs
from proxyconfig_agent.dataplane.tables.table_sync import TableSync
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink.nftables import messages as wire
from proxyconfig_agent.netlink.nftables.connection import Connection, KernelError
from proxyconfig_agent.netlink.nftables.messages import Message, Table

_PROBED = "proxyconfig-ipvs-probe"


class Tables:
    """One table of each family, through a socket in the network namespace of the thread that made it."""

    is_slow = False
    counted: Mapping[tuple[Family, str], Rules] = {}

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._writer = Writer(connection)

    def features(self) -> Mapping[str, str]:
        return {}

    def lack(self, family: Family) -> str:
        made = fixed(Settings(), family)
        table = Table(NFPROTO[family], _PROBED)
        try:
            self._connection.commit(transaction.structure(table, None, made.containers, made.chains), keep=False)
        except KernelError as error:
            return f"the kernel lacks rules of nf_tables that ipvs mode needs for IPv{family.value} (Linux 5.15 and later): {error}"
        return ""

    def begin_read(self) -> AbstractContextManager[None]:
        return self._writer.begin_read()

    def invalidate(self) -> None:
        self._writer.invalidate()

    def changed_externally(self) -> bool:
        return self._writer.changed_externally()

    def full_sync(self, settings: Settings, families: Iterable[Family]) -> TablesSync:
        return TablesSync(self._writer, {family: self._read(settings, family) for family in families})

    def lead(self, plans: Plans) -> None:
        self._writer.commit(_messages(plans))

    def disarm(self) -> bool:
        self._writer.commit(hooks.taken(self._connection, map(table_of, Family)))
        return True

    def arm(self) -> None:
        self._writer.commit(hooks.given(self._connection, map(table_of, Family)))

    def remove(self) -> None:
        self._writer.commit([wire.delete_table(table) for table in map(table_of, Family) if actual_table(self._connection, table)])

    def scan(self) -> Iterator[str]:
        for table in map(table_of, Family):
            yield from scanned(self._connection, table)

    def close(self) -> None:
        self._connection.close()

    def _read(self, settings: Settings, family: Family) -> TableSync:
        table = table_of(family)
        there = actual_table(self._connection, table)
        found: Elements = {}
        for name, container in (there.containers if there else {}).items():
            found[name] = dict(elements(self._connection, table, name, container.key_length))
        return TableSync(table, fixed(settings, family), LAST_CHAIN, there, found)


class TablesSync:
    def __init__(self, writer: Writer, tables: Mapping[Family, TableSync]) -> None:
        self._writer, self._tables = writer, tables
        self._repairs = Repairs()
        self._operations = 0

    def lead(self, plans: Plans) -> None:
        for family, plan in plans.items():
            sync, table = self._tables[family], table_of(family)
            for step in sync.steps(plan.elements.added):
                self._writer.commit(step.messages(table))
                self._operations += len(step)
                self._repairs.note_messages((*step.before, *step.behind), cold=sync.cold)
                if not sync.cold:
                    self._repairs.note_elements(step.elements.deleted, step.elements.added)
            # Best effort: kernels before 6.2 keep a chain busy for a moment after the last element that led to it is gone.
            self._writer.attempt(sync.foreign())

    def outcome(self, plans: Plans) -> Outcome:
        stale = (udp_destinations(self._tables[family].elements, plan.elements.added, family) for family, plan in plans.items())
        abandoned = tuple(destination for of_family in stale for destination in of_family)
        return Outcome(self._operations, repaired=str(self._repairs), abandoned=abandoned)


def _messages(plans: Plans) -> Iterator[Message]:
    for family, plan in plans.items():
        yield from transaction.deleted(table_of(family), [plan.elements.deleted])
        yield from transaction.added(table_of(family), [plan.elements.added])
