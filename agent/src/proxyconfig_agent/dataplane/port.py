"""What the agent asks of a mode: the port between the runner and `nftables` (later `iptables`, `ipvs`, `userspace`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from proxyconfig_agent.ingest.model import ANY, Address, Family, Network, ServiceName
from proxyconfig_agent.select.frontends import Frontends


class LocalTraffic(Struct, frozen=True):
    """How to recognise traffic of this node's pods: by source, or by the interface it comes in on. All empty: it cannot be told."""

    cidrs: tuple[Network, ...] = ()
    interface: str = ""
    interface_prefix: str = ""


class Ipvs(Struct, frozen=True):
    """Of ipvs mode."""

    scheduler: str = "rr"
    binds_addresses: bool = False
    """The addresses of Services are on the link kube-ipvs0, as kube-proxy has them."""
    adopts_kube_proxy: bool = False
    """What kube-proxy left in ipvs mode is taken over, but for virtual servers in `excluded`."""
    excluded: tuple[Network, ...] = ()


class Settings(Struct, frozen=True):
    """What the fixed part of the rules depends on; both families side by side. A change of it is applied live."""

    local_traffic: LocalTraffic = LocalTraffic()
    masquerade_all: bool = False
    masquerade_bit: int = 14
    node_port_addresses: tuple[Address, ...] = tuple(ANY.values())
    """The node addresses that serve NodePorts, already resolved; that of ANY: every local one of its family but loopback."""
    node_addresses: tuple[Address, ...] = ()
    """All addresses of the node: a source range that holds one of them also admits the VIP itself as source."""
    service_cidrs: tuple[Network, ...] = ()
    """Unallocated addresses in them are dropped."""
    localhost_node_ports: bool = False
    """NodePorts are served on loopback addresses too, in the families of the mode, where `node_port_addresses` are all or hold one."""
    ipvs: Ipvs = Ipvs()
    proxy_addresses: tuple[Address, ...] = ()
    """One address of each family that is on an interface of the node: where rules take traffic to that a process here is to have."""
    udp_idle_s: float = 0.25
    """userspace mode: how long a UDP flow may pause."""
    drain_s: float = 3600.0
    """How long connections stay with a mode that this one has taken over from."""


class Change(Struct, frozen=True):
    """One Service port in one family: what it was (None: new), what it is to be (None: gone)."""

    old: Frontends | None
    new: Frontends | None


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """A Service that is not served, whole or in part, and why, in one sentence for an Event."""

    service: ServiceName
    reason: str
    everywhere: bool = False
    """The Service itself is the reason, so every node says the same; else it is this node's kernel."""
    partly: bool = False
    """It is served, but not all of it, or not as it asks to be: of a data plane's refusal, the rest is programmed."""
    trace: str = dataclasses.field(default="", compare=False, repr=False)
    """Where in the agent it failed, for the log; empty for what is no fault of the agent."""


class Destination(Struct, frozen=True):
    """Where clients of a UDP port send to: an address, or (None) every one that serves NodePorts."""

    family: Family
    address: Address | None
    port: int


class Rules(Struct, frozen=True):
    """Of one table of iptables: rules that are ours, and those that the last sync wrote."""

    total: int
    written: int


class ProbeResult(Struct, frozen=True):
    """What a mode found in this node's kernel: enough for one family at least."""

    features: Mapping[str, str]
    """Kernel features and families by name, with what was found."""
    unserved: Mapping[Family, str] = field(default_factory=dict)
    """The families that the mode cannot serve here, each with what is lacking: the feature, its CONFIG_ option, the kernel's words."""

    @property
    def served(self) -> tuple[Family, ...]:
        return tuple(family for family in Family if family not in self.unserved)


class Outcome(Struct, frozen=True):
    """What a commit did. `took_s` has the seconds per stage: lower, delta, commit (and read, for a full resync)."""

    operations: int = 0
    """Elements, rules, chains, … sent to the kernel; 0 when it had everything already."""
    refused: tuple[Refusal, ...] = ()
    took_s: dict[str, float] = field(default_factory=dict)
    repaired: str = ""
    """Of a resync: what of it was missing or wrong in the kernel, in words (see `drift`); empty if unknown."""
    abandoned: tuple[Destination, ...] = ()
    """Of a resync: UDP destinations that the kernel's rules still served, as far as the mode knows. Some may have another owner now."""
    rules: Mapping[tuple[Family, str], Rules] = field(default_factory=dict)
    """By family and table; only where rules are what a mode consists of."""
    unrecorded: str = ""
    """Of a resync: why it cannot be recorded that the rules are an agent's, so that no other mode would remove them; empty if it is."""
    unscheduled: str = ""
    """Of a resync: why the scheduler of the settings is not in force, so that Services have another one; empty if it is."""
    relays: frozenset[bytes] = frozenset()
    """Addresses with ports, packed, at which the mode itself answers in place of endpoints: UDP flows to them are as they should be."""
    probed: ProbeResult | None = None
    """Of a resync that probed the kernel again, as a family was not served."""


class DataplaneError(Exception):
    """The kernel refused, or cannot do, what the whole mode needs. The message names the feature, the kernel's words and the fix."""


class LackingError(DataplaneError):
    """The node has no family in which the mode works. `lack`: what is missing, without the name of the mode and the fix."""

    def __init__(self, mode: str, lack: str, fix: str = "load the module, use a kernel that has it") -> None:
        super().__init__(f"{mode}: {lack}; {fix}, or choose another mode")
        self.lack = lack


class TemporaryError(DataplaneError):
    """No memory, no rights, a lock: this says nothing about what the kernel has, and may be over the next time."""


class ConflictError(DataplaneError):
    """Somebody else has changed our rules, so that a change does not fit: a full resync repairs them."""


class Dataplane(Protocol):
    """Programs one mode's rules on one node, both families. Every method returns when the kernel has committed. All calls but `is_slow` and
    `disturbed` may come from a worker thread, one at a time: the event loop goes on meanwhile.

    No two Service ports that it is given have an address and port, or a node port, in common (select/conflicts.py sees to that); one may
    take over in the same call what another gives up."""

    def resync(self, settings: Settings, wanted: Iterable[Frontends]) -> Outcome:
        """Read the kernel, and send the difference to exactly `wanted`: first sync, restart (adoption), audit and repair alike.

        Bounded transactions, in the order given: put first what the node itself needs."""
        ...

    def apply(self, changes: Iterable[Change]) -> Outcome:
        """Bring the changed Service ports, and nothing else, from old to new in one transaction. Work is proportional to the changes.

        A Service that cannot be programmed is left as it would be without it and is named in `refused`; the others are committed."""
        ...

    def is_slow(self, changes: Sequence[Change]) -> bool:
        """Whether `apply` may take longer for these than the event loop may be held; it is then called in a worker thread."""
        ...

    def disturbed(self) -> bool:
        """Whether another program committed to the kernel's ruleset since the last call. Asked every second, outside of the event loop."""
        ...


class Lifecycle(Protocol):
    """The beginning and the end of a mode on a node; calls may come from a worker thread, and never while its data plane works."""

    def probe(self) -> ProbeResult:
        """Ask for the kernel features that the mode needs. Raises DataplaneError naming what is missing if it can serve no family."""
        ...

    def remove(self) -> None:
        """Take away everything that this mode ever made on this node; nothing else."""
        ...

    def disarm(self) -> bool:
        """Another mode serves the node: no new connection meets these rules any more, and all of them stay. Whether they do: a mode
        whose rules the other one has taken over has none."""
        ...

    def arm(self) -> None:
        """Take that back, at once; `resync` does so, too."""
        ...

    def retire(self, drain_s: float) -> bool:
        """Another mode serves the node: take away what no connection needs any more, and everything `drain_s` after the first call.
        Whether that was everything; else ask again."""
        ...

    def scan(self) -> list[str]:
        """What of this mode is in the kernel now, one line per table (chain, set…): empty proves a removal."""
        ...

    def close(self) -> None:
        """Give back sockets and the like; what is in the kernel stays and works."""
        ...


class ModeInstance(Dataplane, Lifecycle, Protocol):
    """What a mode implements: both halves over one state."""


class Succession(Protocol):
    """What becomes of the other modes on the node when one takes over. Calls may come from any thread."""

    def hold(self, before: Succession | None) -> None:
        """From the first full resync on, the others have all that they had, disarmed, until `commit`; the data plane of `before` gets
        the changes as well."""
        ...

    def again(self) -> None:
        """Take over once more with the next full resync: another mode was armed meanwhile."""
        ...

    def commit(self) -> None:
        """Let the others retire now. Failures are tried again by themselves."""
        ...

    def is_alone(self) -> bool:
        """Whether all other modes have retired: before the first full resync nobody knows."""
        ...


class Installed(Struct, frozen=True):
    """A mode on this node, as the agent uses it: each part with what is added to it."""

    dataplane: Dataplane
    lifecycle: Lifecycle
    succession: Succession
