"""An agent on a simulated node that lives through random changes: objects, configuration, its Node, restarts."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace
from tests.kernel.traffic.inprocess import INTERVALS
from tests.support.netns.topology import NODE, NODE_ALTERNATIVE, POD2_CIDR, POD_CIDR
from tests.support.scenarios.configs import CONFIGS, Config
from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object
from tests.support.simulator.clusters import Clusters
from tests.support.simulator.modes import MODES, Mode, SimulatedPipeline
from tests.support.simulator.node import NetnsNode, packed

from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.ingest.addresses import parse_network
from proxyconfig_agent.ingest.model import Address, Network
from proxyconfig_agent.sync.result import SyncReason

Objects = dict[Key, Object]

_ADDRESSES: tuple[Address, ...] = tuple(packed(text) for pair in (NODE, NODE_ALTERNATIVE) for text in pair.both)
_POD_CIDRS: tuple[tuple[Network, ...], ...] = tuple(
    tuple(parse_network(text) for pair in pairs for text in pair.both) for pairs in ((POD_CIDR,), (POD_CIDR, POD2_CIDR), (POD2_CIDR,), ())
)


class Agent:
    """One mode on one node. The same random numbers make the same life."""

    def __init__(self, mode_name: str, random: Random) -> None:
        self._new_kernel, self._random, self._clusters = MODES[mode_name], random, Clusters(random)
        self.mode = self._new_kernel()
        self.config = self._any_config()
        self.objects: Objects = self._clusters.cluster()
        self.zone, self.addresses, self.pod_cidrs = "zone-a", _ADDRESSES, _POD_CIDRS[0]
        self._pipeline = self._started(self.mode)

    def change(self) -> None:
        """Something else is wanted from now on, or the agent is another process."""
        match self._random.randrange(8):
            case 0:
                self.config = self._any_config()
            case 1:
                self.move(self._random.choice(("zone-a", "zone-b", "")))
            case 2:
                self.restart()
            case 3:
                self.addresses = tuple(self._random.sample(_ADDRESSES, len(_ADDRESSES)))
            case 4:
                self.pod_cidrs = self._random.choice(_POD_CIDRS)
            case _:
                self.change_objects()
        self._tell(self._pipeline)

    def move(self, zone: str) -> None:
        """The node is in another zone."""
        self.zone = zone
        self._tell(self._pipeline)

    def change_objects(self) -> None:
        self.objects = self._clusters.changed(self.objects)
        self._tell(self._pipeline)

    def restart(self) -> None:
        self.mode = self.mode.restarted()
        self._pipeline = self._started(self.mode)

    def sync(self) -> None:
        """Do what is to be done, however often the kernel refuses it; and as the runner does every second, see whether all is well."""
        self._pipeline.persist()
        while self._is_disturbed():
            self._pipeline.runner.resync(SyncReason.DRIFT)
            self._pipeline.persist()

    def _is_disturbed(self) -> bool:
        """As the runner does it: what cannot be told is looked for."""
        try:
            return self.mode.dataplane.disturbed()
        except (DataplaneError, OSError):
            return True

    @property
    def node(self) -> NetnsNode:
        return self.mode.node

    @property
    def complete(self) -> bool:
        """Whether no Service is set aside."""
        return not self._pipeline.syncs[-1].refused

    def audit(self) -> int:
        """Look at the whole kernel again; how many operations that took."""
        self._pipeline.runner.resync(SyncReason.PERIOD)
        self._pipeline.persist()
        return self._pipeline.syncs[-1].operations

    def fresh(self) -> Mode:
        """Another node, whose agent has never known anything but the present Services."""
        mode = self._new_kernel()
        self._started(mode).persist()
        return mode

    def _started(self, mode: Mode) -> SimulatedPipeline:
        made = SimulatedPipeline(mode, self.config)
        self._tell(made)
        return made

    def _tell(self, to: SimulatedPipeline) -> None:
        node = replace(to.cluster.node, zone=self.zone, addresses=self.addresses, pod_cidrs=self.pod_cidrs)
        to.cluster.put_node(node)
        to.runner.configure(to.settings(self.config), INTERVALS)
        to.put(self.objects)

    def _any_config(self) -> Config:
        return CONFIGS[self._random.choice(sorted(CONFIGS))]
