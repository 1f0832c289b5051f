"""Everything that is decided on, at one moment: what the caches hold. Pure views on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from proxyconfig_api.objects import names
from proxyconfig_api.objects.assignment import Assignment
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_operator.decide.agent_daemonset import Installation, name_of
from proxyconfig_operator.decide.node_state import NodeState, state_of
from proxyconfig_operator.decide.revisions import COMPONENT_LABEL, POD_COMPONENT, Target, target_of
from proxyconfig_operator.model import probe_pods
from proxyconfig_operator.model.agent_pods import newest_by_node
from proxyconfig_operator.model.objects import Config, DaemonSet, Node, Pod, Revision
from proxyconfig_operator.model.waits import Waits


@dataclass(frozen=True)
class Snapshot:
    """Objects by name; DaemonSets, Pods and Revisions are those of agents in the operator's namespace."""

    configs: Mapping[str, Config]
    nodes: Mapping[str, Node]
    proxies: Mapping[str, NodeProxy]
    pods: Mapping[str, Pod]
    revisions: Mapping[str, Revision]
    daemonsets: Mapping[str, DaemonSet]
    assignment: Assignment
    installation: Installation
    removal_deadline_s: float
    waits: Waits
    now: datetime
    """For the stamps of conditions; nothing is decided by it."""
    probe_pods: Mapping[str, Pod] = field(default_factory=dict)
    """Those that probe changes on their nodes."""
    _states: dict[str, Mapping[str, NodeState]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By ProxyConfig, of those that were asked for."""

    @cached_property
    def targets(self) -> Mapping[str, Target]:
        """What the nodes of each ProxyConfig are to run."""
        return {name: target_of(config, self.revisions_of(name)) for name, config in self.configs.items()}

    def revisions_of(self, config: str) -> tuple[Revision, ...]:
        """Of what its nodes do."""
        return tuple(each for each in self._all_revisions_of(config) if each.metadata.label(COMPONENT_LABEL) != POD_COMPONENT)

    def pod_revisions_of(self, config: str) -> tuple[Revision, ...]:
        """Of its agents' pods."""
        return tuple(each for each in self._all_revisions_of(config) if each.metadata.label(COMPONENT_LABEL) == POD_COMPONENT)

    def _all_revisions_of(self, config: str) -> Iterator[Revision]:
        return (each for each in self.revisions.values() if each.metadata.label(names.CONFIG_LABEL) == config)

    def agents_of(self, config: str) -> Mapping[str, Pod]:
        """The agent's pod on each node that has one of `config`."""
        return newest_by_node(pod for pod in self.pods.values() if pod.metadata.label(names.CONFIG_LABEL) == config)

    def states_of(self, config: str) -> Mapping[str, NodeState]:
        """How the nodes of `config` are doing, by name; worked out once, for the plan and for the status."""
        if config not in self._states:
            agents, revision = self.agents_of(config), self.targets[config].revision
            self._states[config] = {
                name: state_of(self.nodes[name], self.proxies.get(name), agents.get(name), self.waits, config=config, revision=revision)
                for name in self.assignment.members[config]
            }
        return self._states[config]

    def daemonset_of(self, config: str) -> DaemonSet | None:
        return self.daemonsets.get(name_of(config))

    def probe_pod_of(self, node: str, config: str) -> Pod | None:
        """The one that probes a change of `config` on a node."""
        pod = self.probe_pods.get(probe_pods.name_of(node))
        return pod if pod is not None and pod.metadata.label(names.CONFIG_LABEL) == config else None

    def successor_of(self, node: str) -> str:
        """The ProxyConfig that takes the node over, or has it; empty if there is none that could."""
        winner = self.assignment.winners.get(node, "")
        return winner if winner and self.targets[winner].revision else ""
