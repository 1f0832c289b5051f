"""Our agent's pipeline without its process and without an API server: objects → ingest → select → runner → data plane."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import msgspec
from tests.kernel.in_namespace import Entered
from tests.kernel.traffic.clusterobjects import node_object
from tests.kernel.traffic.manifest import proxy_config
from tests.kernel.traffic.subject import Running
from tests.support.at_once import finished, inline
from tests.support.netns import conntrack, ipvs
from tests.support.netns.namespace import Namespace
from tests.support.netns.topology import NODE, NODE_NAME, POD_CIDR, SERVICE_CIDR, Topology
from tests.support.scenarios.configs import CONFIGS, Config
from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object

from proxyconfig_agent.dataplane.combined import ipvs_rules
from proxyconfig_agent.dataplane.combined.userspace_by_iptables import UserspaceByIptables
from proxyconfig_agent.dataplane.iptables.iptables import Iptables
from proxyconfig_agent.dataplane.iptables.mode import ROUTE_LOCALNET
from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs
from proxyconfig_agent.dataplane.ipvs.mode import sysctls
from proxyconfig_agent.dataplane.nftables.nftables import Nftables
from proxyconfig_agent.dataplane.port import Dataplane, ModeInstance, Settings
from proxyconfig_agent.dataplane.userspace.userspace import Userspace
from proxyconfig_agent.ingest import apitypes
from proxyconfig_agent.ingest.addresses import parse_network
from proxyconfig_agent.ingest.model import Network
from proxyconfig_agent.ingest.nodes import node_of
from proxyconfig_agent.node.addresses import rtnetlink
from proxyconfig_agent.node.settings import resolve
from proxyconfig_agent.state.cluster import ClusterState
from proxyconfig_agent.state.programmed import Programmed
from proxyconfig_agent.sync.result import SyncResult
from proxyconfig_agent.sync.runner import Runner
from proxyconfig_agent.sync.schedule import NEVER, SyncIntervals
from proxyconfig_agent.watch.handlers import EndpointSliceHandler, ServiceHandler
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_client.process.backoff import Backoff
from proxyconfig_client.process.clock import Clock
from proxyconfig_client.watch.objects import Key as ObjectKey

INTERVALS = SyncIntervals(min_s=0, full_s=0, poll_s=0)
SERVICE_CIDRS: tuple[Network, ...] = tuple(parse_network(text) for text in SERVICE_CIDR.both)


class Pipeline:
    """The agent's stages, one call at a time. `syncs` are those that were done, in order."""

    def __init__(self, topology: Topology, dataplane: Dataplane, config: Config, mode: str = "nftables") -> None:
        self._node = topology.node
        self._config, self.mode = config, mode
        self.service_cidrs = SERVICE_CIDRS
        self.cluster = ClusterState(node_of(msgspec.convert(node_object(NODE_NAME, POD_CIDR, NODE), apitypes.Node)))
        self.syncs: list[SyncResult] = []
        self._ahead_s = 0.0
        self._services, self._slices = ServiceHandler(self.cluster, _nothing), EndpointSliceHandler(self.cluster, _nothing)
        self._present: dict[Key, Object] = {}
        clock = Clock(monotonic=self._monotonic)
        self.runner = Runner(
            self.cluster,
            Programmed(),
            dataplane,
            self.settings(config),
            self.syncs.append,
            intervals=INTERVALS,
            clock=clock,
            backoff=Backoff(),
            offload=inline,
        )

    def settings(self, config: Config) -> Settings:
        """What the ProxyConfig means on the node under test as it is now."""
        spec = ProxyConfig.parse(proxy_config(config, self.mode)).spec
        return resolve(spec, self.cluster.node, self._node.call(rtnetlink.read), self.service_cidrs)[0]

    def put_node(self, node: Object) -> None:
        """Take in the Node as its watch would, and commit."""
        self.cluster.put_node(node_of(msgspec.convert(node, apitypes.Node)))
        self.configure()

    def configure(self) -> None:
        """Go on with what the node and the Service networks are now, and commit."""
        self.runner.configure(self.settings(self._config), INTERVALS)
        self.sync()

    def apply(self, objects: Mapping[Key, Object]) -> None:
        """Make these the only Services and EndpointSlices, and commit."""
        self.put(objects)
        self.sync()

    def put(self, objects: Mapping[Key, Object]) -> None:
        """Take in what differs from before, as the watches would."""
        for kind, namespace, name in sorted(set(self._present) - set(objects)):
            (self._services if kind == "Service" else self._slices).on_delete(ObjectKey(namespace, name))
        for (kind, _, _), one in objects.items():
            if kind == "Service":
                self._services.on_upsert(msgspec.convert(one, apitypes.Service))
            else:
                self._slices.on_upsert(msgspec.convert(one, apitypes.EndpointSlice))
        self._present = dict(objects)

    def sync(self) -> SyncResult | None:
        """Do what there is to do; what it was, or None if there was nothing. The runner's rests take no time."""
        done = len(self.syncs)
        while (due := self.step()) < NEVER:
            self._ahead_s += max(0.0, due - self._monotonic())
        for sync in self.syncs[done:]:
            assert not sync.error, sync.error
        return self.syncs[-1] if len(self.syncs) > done else None

    def step(self) -> float:
        return finished(self.runner.step())

    def _monotonic(self) -> float:
        return time.monotonic() + self._ahead_s


class InProcess:
    """One of our modes, in the test's own process."""

    def __init__(self, topology: Topology, mode: str) -> None:
        self._topology = topology
        self.name = self.mode = mode

    @contextlib.contextmanager
    def running(self, config: Config) -> Iterator[Running]:
        with self._dataplane() as made:
            self._topology.node.sysctl({ROUTE_LOCALNET: str(int(config.localhost_node_ports))})
            yield Pipeline(self._topology, made, config, self.mode)
        self._topology.node.sysctl({ROUTE_LOCALNET: "0"})
        empty(self._topology.node)

    def _dataplane(self) -> contextlib.AbstractContextManager[ModeInstance]:
        return dataplane(self._topology, self.mode)


class Legacy(InProcess):
    """Our iptables mode on a node whose kubelet uses the legacy back end: so does the agent then."""

    def __init__(self, topology: Topology) -> None:
        super().__init__(topology, "iptables")
        self.name = "iptables-legacy"

    @contextlib.contextmanager
    def running(self, config: Config) -> Iterator[Running]:
        node = self._topology.node
        with contextlib.ExitStack() as tables:
            for program in ("iptables-legacy", "ip6tables-legacy"):
                node.run(program, "-t", "mangle", "-N", "KUBE-IPTABLES-HINT")
                tables.callback(node.run, program, "-t", "mangle", "-X", "KUBE-IPTABLES-HINT")
            with super().running(config) as running:
                yield running
                assert "KUBE-SERVICES" in node.run("iptables-legacy-save", "-t", "nat")


class ByIptables(InProcess):
    """Our userspace mode as where the kernel has no nf_tables: chains of iptables lead to the proxy process."""

    def __init__(self, topology: Topology) -> None:
        super().__init__(topology, "userspace")
        self.name = "userspace-iptables"

    def _dataplane(self) -> contextlib.AbstractContextManager[ModeInstance]:
        return removed_at_the_end(self._topology, partial(UserspaceByIptables, ""))


class IpvsByIptables(InProcess):
    """Our ipvs mode where the kernel has no nf_tables: chains of iptables and ip sets lead to virtual servers."""

    def __init__(self, topology: Topology) -> None:
        super().__init__(topology, "ipvs")
        self.name = "ipvs-iptables"

    @contextlib.contextmanager
    def running(self, config: Config) -> Iterator[Running]:
        node = self._topology.node
        node.sysctl(_IPVS_SYSCTLS)
        with removed_at_the_end(self._topology, ipvs_rules.by_iptables) as made:
            yield Pipeline(self._topology, made, config, self.mode)
        left = "".join(node.run(*command) for command in (("iptables-legacy-save",), ("ip6tables-legacy-save",), ("ipset", "save")))
        assert "KUBE-" not in left, left


def empty(node: Namespace) -> None:
    """Leave no rules on a node, and find none that ours should have taken away: iptables' own tables stay."""
    left = node.run("nft", "list", "ruleset")
    assert not [line for line in left.splitlines() if "proxyconfig" in line or "KUBE-" in line], left
    node.run("nft", "flush", "ruleset")
    conntrack.forget(node)


DATAPLANES: Mapping[str, Callable[[], ModeInstance]] = {
    "nftables": Nftables,
    "iptables": Iptables,
    **({"ipvs": Ipvs} if ipvs.is_there() else {}),
    "userspace": Userspace,
}
"""What each mode is made of that this kernel can do."""
_IPVS_SYSCTLS = sysctls(ProxyConfig.parse(proxy_config(CONFIGS["default"], "ipvs")).spec)


def dataplane(topology: Topology, mode: str) -> contextlib.AbstractContextManager[ModeInstance]:
    """The data plane of a mode on the node under test; it removes all of its state at the end."""
    if mode == "ipvs":
        topology.node.sysctl(_IPVS_SYSCTLS)
    return removed_at_the_end(topology, DATAPLANES[mode])


@contextlib.contextmanager
def removed_at_the_end(topology: Topology, make: Callable[[], ModeInstance]) -> Iterator[ModeInstance]:
    """A data plane on the node under test, which leaves nothing there."""
    made = Entered(topology.node, make)
    try:
        yield made
        made.remove()
        assert made.scan() == []
    finally:
        made.close()
        conntrack.forget(topology.node)


def _nothing() -> None:
    pass
