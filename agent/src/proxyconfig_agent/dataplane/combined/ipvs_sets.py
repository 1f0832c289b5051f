"""The sets of ip_set beside the chains of ipvs mode: made, read, changed and taken away. The only place that does it."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable, Iterator, Mapping

from proxyconfig_agent.dataplane.combined.ipvs_entries import KINDS, name_of
from proxyconfig_agent.dataplane.ipvs.model.servers import TAG
from proxyconfig_agent.dataplane.tables.model.ruleset import NFPROTO
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import ipset
from proxyconfig_agent.netlink.ipset_messages import Entry, Header

Entries = Mapping[str, Iterable[Entry]]
"""By the set's stem."""

LIMIT = TAG
"""Of entries. It is the mark of sets that are ours; kube-proxy's have 65536."""
_NEW = "KUBE-IPVS-NEW-SET"


class Sets:
    """A socket in the network namespace of the thread that made it. All methods raise OSError."""

    def __init__(self) -> None:
        self._sets = ipset.Connection()

    def close(self) -> None:
        self._sets.close()

    @contextlib.contextmanager
    def probed(self) -> Iterator[dict[Family, str]]:
        """All of them are there meanwhile, those that are not ours untouched; but for families for which it says what is lacking."""
        there, lacks = self._sets.names(), dict[Family, str]()
        try:
            for name, (family, header) in _HEADERS.items():
                if name not in there and (lack := self._lack(name, header)):
                    lacks[family] = lack
            yield lacks
        finally:
            for name in _HEADERS.keys() - there:
                self._sets.destroy(name)

    def ensure(self, family: Family) -> None:
        """Each is there and ours. One that is not, kube-proxy has left: rules that name it see ours from then on."""
        for name, wanted in ((name, header) for name, (of, header) in _HEADERS.items() if of is family):
            there = self._sets.header(name)
            if there is None:
                self._sets.create(name, wanted)
            elif there != wanted:
                self._sets.create(_NEW, wanted)
                self._sets.swap(_NEW, name)
                self._sets.destroy(_NEW)

    def read(self, family: Family) -> dict[str, frozenset[Entry]]:
        return {stem: self._sets.entries(name_of(stem, family)) for stem in KINDS}

    def add(self, family: Family, entries: Entries) -> None:
        for stem, some in entries.items():
            self._sets.add(name_of(stem, family), some)

    def delete(self, family: Family, entries: Entries) -> None:
        for stem, some in entries.items():
            self._sets.delete(name_of(stem, family), some)

    def remove(self) -> None:
        """Those that are ours. One that a rule of another program names stays."""
        for name in self._ours():
            self._sets.destroy(name)

    def scan(self) -> Iterator[str]:
        return (f"ip set {name}" for name in self._ours())

    def _lack(self, name: str, header: Header) -> str:
        try:
            self._sets.create(name, header)
        except OSError as error:
            if error.errno == errno.EPERM:
                raise
            module = f"ip_set_{header.kind.replace(':', '_').replace(',', '')}"
            return f"the kernel lacks sets of type {header.kind} (CONFIG_{module.upper()}, modprobe {module}): {error.strerror}"
        return ""

    def _ours(self) -> list[str]:
        there = sorted(self._sets.names() & _HEADERS.keys())
        return [name for name in there if (header := self._sets.header(name)) is not None and header.limit == LIMIT]


_HEADERS = {name_of(stem, family): (family, Header(kind, NFPROTO[family], LIMIT)) for stem, kind in KINDS.items() for family in Family}
