"""A node on which the real kube-proxy ran in ipvs mode, with Services of the behaviour table, and what the agent finds there."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.kernel.traffic.apiserver import Cluster, KubeProxy
from tests.kernel.traffic.manifest import proxy_config
from tests.kernels.inside import apiserver
from tests.kernels.ipvs.packets import served
from tests.support.netns.namespace import Namespace
from tests.support.scenarios.cases import rounds_of
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object, load
from tests.support.simulator.ipvs.mode import IpvsMode
from tests.support.simulator.modes import SimulatedPipeline

from proxyconfig_agent.checks.shadow.comparison import Compared, compared, differences
from proxyconfig_agent.checks.shadow.flows import NodeAddresses
from proxyconfig_agent.checks.shadow.reader import read
from proxyconfig_agent.node.addresses import rtnetlink
from proxyconfig_agent.node.settings import resolve
from proxyconfig_api.objects.proxyconfig import ProxyConfig

CONFIG = CONFIGS["default"]


def objects(scenarios: Collection[str] = ()) -> dict[Key, Object]:
    """The Services and EndpointSlices of these scenarios, or of all that a proxy with defaults has, at their first step."""
    every = next(each for each in rounds_of(load(), mode="ipvs") if each.config == CONFIG.name).objects
    return {key: each for key, each in every.items() if not scenarios or key[1] in scenarios}


@dataclass(frozen=True, slots=True)
class Observed:
    """The node, with everything that kube-proxy makes of the objects."""

    node: Namespace
    objects: Mapping[Key, Object]

    def compare(self) -> list[Compared]:
        """Every Service, by what is on the node at the moment."""
        pipeline = SimulatedPipeline(IpvsMode(), CONFIG)
        pipeline.put(self.objects)
        view, local = pipeline.cluster.view(), self.node.call(rtnetlink.read)
        settings, _ = resolve(ProxyConfig.parse(proxy_config(CONFIG, "ipvs")).spec, view.node, local, ())
        theirs = self.node.call(read)
        return [compared(name, [*differences(view.select(name).ports, theirs, settings, NodeAddresses(local))]) for name in view.names()]


@contextlib.contextmanager
def observed(objects: Mapping[Key, Object], folder: Path) -> Iterator[Observed]:
    """kube-proxy has synced them, and has ended, so that nobody repairs what a test breaks."""
    with served() as world, apiserver() as api:
        cluster = Cluster(api, world.topology, world.probers["client"])
        with KubeProxy("ipvs", api, world.topology, cluster, folder).started(CONFIG) as proxy:
            proxy.apply(objects)
        yield Observed(world.topology.node, objects)
