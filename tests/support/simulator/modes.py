"""The modes that are simulated, and the agent's own pipeline in front of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Protocol, cast

from tests.kernel.traffic.inprocess import Pipeline
from tests.support.netns.namespace import Namespace
from tests.support.netns.topology import Topology
from tests.support.scenarios.configs import Config
from tests.support.simulator.iptables.mode import IptablesMode
from tests.support.simulator.ipvs.mode import IpvsMode
from tests.support.simulator.nftables.mode import NftablesMode
from tests.support.simulator.node import NetnsNode
from tests.support.simulator.userspace.mode import UserspaceMode

from proxyconfig_agent.checks.walker.path import Memory, Rules
from proxyconfig_agent.dataplane.port import Dataplane
from proxyconfig_agent.sync.schedule import NEVER


class Mode(Protocol):
    """A mode of the agent in front of a simulated kernel."""

    name: str

    @property
    def dataplane(self) -> Dataplane: ...

    @property
    def rules(self) -> Rules: ...

    @property
    def node(self) -> NetnsNode:
        """The node under test, with the addresses that the mode makes local to it."""
        ...

    def restarted(self) -> Mode:
        """The same kernel, and a new process."""
        ...

    def state(self) -> Mapping[str, object]:
        """What is in the kernel, without what may differ between two nodes that do the same."""
        ...

    def remembered(self, memory: Memory) -> Memory:
        """What of it the kernel still remembers of clients, after whatever was written."""
        ...

    def observe(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        """Call these before and after every transaction; `before` makes one fail by what it raises."""
        ...

    def damage(self, random: Random) -> None:
        """Somebody else changes something of ours."""
        ...

    def refusal(self, number: int) -> Exception:
        """What `before` raises so that the kernel seems to refuse a transaction with this errno."""
        ...


MODES: Mapping[str, Callable[[], Mode]] = {"nftables": NftablesMode, "iptables": IptablesMode, "ipvs": IpvsMode, "userspace": UserspaceMode}


class SimulatedPipeline(Pipeline):
    """The agent's stages, one call at a time."""

    def __init__(self, mode: Mode, config: Config) -> None:
        super().__init__(_topology_of(mode.node), mode.dataplane, config, mode.name)

    def persist(self) -> None:
        """Like `sync`, but a failure is none of the test's: the runner tries again until it succeeds."""
        while (due := self.step()) < NEVER:
            self._ahead_s += max(0.0, due - self._monotonic())


class _Space:
    """Answers what the pipeline asks the node's namespace for: its addresses."""

    def __init__(self, node: NetnsNode) -> None:
        self._node = node

    def call(self, _: Callable[..., Any]) -> Any:
        return self._node.addresses


def _topology_of(node: NetnsNode) -> Topology:
    """Just enough of a topology for a pipeline."""
    return Topology({"node": cast("Namespace", _Space(node))})
