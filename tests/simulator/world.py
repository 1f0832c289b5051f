"""A mode on the simulated node: the agent's own pipeline in front of a simulated kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from tests.kernel.traffic.inprocess import Pipeline
from tests.netns.namespace import Namespace
from tests.netns.topology import Topology
from tests.scenarios.configs import Config
from tests.simulator.nftables.kernel import SimulatedKernel
from tests.simulator.nftables.rules import NftablesRules
from tests.simulator.node import NetnsNode
from tests.simulator.path import Rules

from proxyconfig_agent.dataplane import Dataplane
from proxyconfig_agent.nftables.port import Nftables


@dataclass(frozen=True, slots=True)
class Mode:
    """What a mode writes to, and how packets meet that."""

    dataplane: Dataplane
    rules: Rules


class _Space:
    """Answers what the pipeline asks the node's namespace for: its addresses."""

    def __init__(self, node: NetnsNode) -> None:
        self._node = node

    def call(self, _: Callable[..., Any]) -> Any:
        return self._node.addresses


def topology_of(node: NetnsNode) -> Topology:
    """Just enough of a topology for a pipeline."""
    return Topology({"node": cast("Namespace", _Space(node))})


def nftables() -> Mode:
    kernel = SimulatedKernel()
    return Mode(Nftables(kernel), NftablesRules(kernel))


MODES: Mapping[str, Callable[[], Mode]] = {"nftables": nftables}


def pipeline(mode: Mode, node: NetnsNode, config: Config) -> Pipeline:
    """The agent's stages, driven by hand."""
    return Pipeline(topology_of(node), mode.dataplane, config)
