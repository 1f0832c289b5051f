"""What leads to virtual servers, as the rest of the mode sees it: tables of nf_tables, or chains of iptables with sets of ip_set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from proxyconfig_agent.dataplane.ipvs.table.state import Plan
from proxyconfig_agent.dataplane.port import Outcome, Settings
from proxyconfig_agent.dataplane.port import Rules as Counts
from proxyconfig_agent.ingest.model import Family

Plans = Mapping[Family, Plan]


class RulesSync(Protocol):
    """A full resync: what the kernel has of the rules has been read."""

    def lead(self, plans: Plans) -> None:
        """Make the rules those of these plans and no others; it may be called again with other plans.

        Raises OSError, KernelError, DataplaneError, and RefusedError for a Service that the rules cannot have."""
        ...

    def outcome(self, plans: Plans) -> Outcome:
        """What it came to, without virtual servers and routes."""
        ...


class Rules(Protocol):
    """All methods raise OSError, KernelError and DataplaneError."""

    @property
    def is_slow(self) -> bool:
        """Whether a change takes long, however small it is: programs run."""
        ...

    @property
    def counted(self) -> Mapping[tuple[Family, str], Counts]:
        """By family and table of iptables; nothing elsewhere."""
        ...

    def features(self) -> Mapping[str, str]:
        """What the probe's result says of them. Raises DataplaneError if the kernel has nothing of what they are made of."""
        ...

    def lack(self, family: Family) -> str:
        """What the kernel lacks for the rules of a family; empty if nothing. Only after `features`."""
        ...

    def begin_read(self) -> AbstractContextManager[None]:
        """Reading and repairing begins. If it fails halfway, they count as changed externally until they are read again."""
        ...

    def invalidate(self) -> None:
        """What is known of them is wrong: report an external change until they are read again."""
        ...

    def changed_externally(self) -> bool:
        """Whether another program changed them since the last time this was asked."""
        ...

    def full_sync(self, settings: Settings, families: Iterable[Family]) -> RulesSync: ...

    def lead(self, plans: Plans) -> None:
        """What these plans change."""
        ...

    def disarm(self) -> bool:
        """No new connection meets them any more, and all of them stay. Whether they do, as in `Lifecycle.disarm`."""
        ...

    def arm(self) -> None:
        """Take that back."""
        ...

    def remove(self) -> None:
        """No new connection is led to a virtual server any more."""
        ...

    def scan(self) -> Iterator[str]:
        """What is there of them, one line per object."""
        ...

    def close(self) -> None: ...
