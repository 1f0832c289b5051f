"""A node that the real kube-proxy has run in ipvs mode is taken over by the agent. No part of `make kernels`, as it takes a minute or two:

python -m tests.kernels run complete --api-server -- .venv/bin/pytest -p no:cacheprovider tests/kernels/adoption
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.kernel.mode_changes.remains import of_mode
from tests.kernel.traffic.apiserver import Cluster, KubeProxy, agent_argv, has_synced
from tests.kernel.traffic.manifest import proxy_config
from tests.kernels.inside import apiserver
from tests.kernels.ipvs.packets import FAMILIES, TALKING, Served, served, service_ip
from tests.support.netns.process import ended, start
from tests.support.netns.topology import NODE, PODS, PODS2
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object
from tests.unit.agent.dataplane.nftables.frontends import ip

from proxyconfig_agent.ingest.model import Protocol
from proxyconfig_agent.netlink.ipvs import messages
from proxyconfig_agent.netlink.ipvs.connection import Connection
from proxyconfig_agent.netlink.ipvs.messages import Destination, Scheduling, VirtualServer

pytestmark = pytest.mark.timeout(600)

NAMESPACE = "adopted"
KEPT, GONE = 21, 22
"""The last numbers of ClusterIPs: of a Service that stays, and of one that is deleted while nobody watches."""
EXTERNAL, BALANCER, NODE_PORT = ("192.168.60.1", "fd00:60::1"), ("192.168.60.2", "fd00:60::2"), 30001
FOREIGN = VirtualServer(Protocol.TCP, ip(NODE.v4), 9998)
OURS = 0x5058
"""The mark of our virtual servers, in the upper half of their flags."""
_KUBE_PROXY_SYNCS_WITHIN_S = 300
"""It starts a process for each entry of an ip set."""


@dataclass(frozen=True, slots=True)
class AfterKubeProxy:
    """What is there when kube-proxy has stopped: its cluster, its rules, and connections that it has led to endpoints."""

    world: Served
    connections: list[socket.socket]
    argv: tuple[str, ...]
    folder: Path

    @contextlib.contextmanager
    def agent(self) -> Iterator[Path]:
        """The agent, once it has synced; the folder's log."""
        node, log = self.world.topology.node, self.folder / "agent.log"
        with ended(start(node, self.argv, log)):
            eventually(lambda: node.call(has_synced), within_s=120)
            yield log

    def saved(self) -> str:
        """The rules of iptables in both families."""
        node = self.world.topology.node
        return "".join(node.run(program) for program in ("iptables-nft-save", "ip6tables-nft-save"))

    def sets(self) -> list[str]:
        return self.world.topology.node.run("ipset", "list", "-n").split()

    def links(self) -> str:
        return self.world.topology.node.run("ip", "-o", "link")

    def virtual_servers(self) -> dict[VirtualServer, Scheduling]:
        with contextlib.closing(self.world.topology.node.call(Connection)) as kernel:
            return kernel.services()

    def answers(self) -> list[str]:
        """What endpoints say over the connections that kube-proxy has seen."""
        return [self.world.answer(connection) for connection in self.connections]


@pytest.fixture
def after(tmp_path: Path) -> Iterator[AfterKubeProxy]:
    with served() as world, apiserver() as api, contextlib.ExitStack() as connections:
        cluster = Cluster(api, world.topology, world.probers["client"])
        with KubeProxy("ipvs", api, world.topology, cluster, tmp_path).started(CONFIGS["default"]):
            cluster.put(objects(KEPT, GONE))
            eventually(cluster.caught_up, within_s=_KUBE_PROXY_SYNCS_WITHIN_S)
            eventually(lambda: _has_ended_a_sync(world), within_s=_KUBE_PROXY_SYNCS_WITHIN_S)
            made = [connections.enter_context(_connected(world, *where)) for where in _everywhere()]
        cluster.put(objects(KEPT))
        _make_foreign(world)
        config = tmp_path / "proxyconfig.yaml"
        manifest = proxy_config(CONFIGS["default"], "ipvs")
        manifest["spec"]["ipvs"] = {"adoptKubeProxy": True}
        config.write_text(yaml.safe_dump(manifest))
        yield AfterKubeProxy(world, made, agent_argv(api.kubeconfig, config), tmp_path)
        cluster.put({})


def test_live_connections_survive_and_nothing_of_the_real_kube_proxy_is_left(after: AfterKubeProxy) -> None:
    node = after.world.topology.node
    assert {"KUBE-CLUSTER-IP", "KUBE-6-CLUSTER-IP", "KUBE-NODE-PORT-TCP"} <= set(after.sets())
    assert "KUBE-SERVICES" in after.saved()
    assert set(after.answers()) <= {"near1", "far1"}, "kube-proxy's own rules serve them while nobody runs"

    with after.agent():
        eventually(lambda: after.sets() == ["of-somebody"], within_s=120)
        assert "kube-ipvs0" not in after.links()
        assert "KUBE-" not in after.saved()
        assert ":FOREIGN" in after.saved()
        assert {server for server, scheduling in after.virtual_servers().items() if scheduling.flags >> 16 != OURS} == {FOREIGN}
        assert set(after.answers()) <= {"near1", "far1"}
        for where in _everywhere(KEPT):
            with _connected(after.world, *where):
                pass
        assert not _is_served(after.world, service_ip(4, GONE))

    with after.agent() as log:
        said = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        (first,) = [line for line in said if line["event"] == "synced" and line["reason"] == "start"]
        assert first["operations"] == 0
        assert set(after.answers()) <= {"near1", "far1"}

    printed = node.run(sys.executable, "-m", "proxyconfig_agent", "--cleanup")
    assert "0 kernel objects" in printed, printed
    assert list(after.virtual_servers()) == [FOREIGN]
    assert after.sets() == ["of-somebody"]
    node.call(_delete_foreign)
    assert [*of_mode(node, "ipvs"), *of_mode(node, "iptables")] == []


def objects(*numbers: int) -> dict[Key, Object]:
    """Services with all kinds of addresses that kube-proxy keeps a set for, in both families."""
    made = [each for number in numbers for each in (_service(number), *(_slice(number, family) for family in FAMILIES))]
    return {(one["kind"], NAMESPACE, one["metadata"]["name"]): one for one in made}


def _service(number: int) -> Object:
    addresses = [service_ip(family, number) for family in FAMILIES]
    spec: dict[str, Any] = {"clusterIP": addresses[0], "clusterIPs": addresses, "ipFamilyPolicy": "RequireDualStack"}
    port = {"name": "talk", "protocol": "TCP", "port": 80, "targetPort": TALKING}
    made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{number}", "namespace": NAMESPACE}, "spec": spec}
    spec["ports"] = [port]
    if number == KEPT:
        port["nodePort"] = NODE_PORT
        spec |= {"type": "LoadBalancer", "externalIPs": list(EXTERNAL), "loadBalancerSourceRanges": ["0.0.0.0/0", "::/0"]}
        made["status"] = {"loadBalancer": {"ingress": [{"ip": address} for address in BALANCER]}}
    return made


def _slice(number: int, family: int) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"s{number}-{family}", "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": f"s{number}"}},
        "addressType": f"IPv{family}",
        "ports": [{"name": "talk", "port": TALKING, "protocol": "TCP"}],
        "endpoints": [{"addresses": [addresses[family]]} for addresses in (PODS["near1"], PODS2["far1"])],
    }


def _everywhere(*numbers: int) -> Iterator[tuple[str, str, int]]:
    """Clients, and the addresses and ports that they ask."""
    for index, family in enumerate(FAMILIES):
        yield from (("client", service_ip(family, number), 80) for number in numbers or (KEPT, GONE))
        yield from (("outside", address[index], 80) for address in (EXTERNAL, BALANCER))
        yield "outside", NODE[family], NODE_PORT


@contextlib.contextmanager
def _connected(world: Served, client: str, address: str, port: int) -> Iterator[socket.socket]:
    with world.topology[client].call(lambda: socket.create_connection((address, port), timeout=20)) as made:
        assert world.answer(made)
        yield made


def _is_served(world: Served, address: str) -> bool:
    return bool(world.asked("client", address).keys() & {"near1", "far1"})


def _has_ended_a_sync(world: Served) -> bool:
    """Whether kube-proxy has written its rules in both families, which it does last. Before, the kernel tracks no connections."""
    return all("MASQUERADE" in world.topology.node.run(f"{program}-nft-save", "-t", "nat") for program in ("iptables", "ip6tables"))


def _make_foreign(world: Served) -> None:
    """What other programs have on the node. A kube-proxy that runs would delete the virtual server."""
    node = world.topology.node
    node.run("iptables-nft-restore", "--noflush", stdin="*filter\n:FOREIGN - [0:0]\nCOMMIT\n")
    node.run("ipset", "create", "of-somebody", "hash:ip")
    with contextlib.closing(node.call(Connection)) as kernel:
        destination = Destination(ip(PODS["near1"].v4), TALKING)
        assert kernel.commit([messages.new_service(FOREIGN, Scheduling("wlc")), messages.new_destination(FOREIGN, destination, 1)]) == []


def _delete_foreign() -> None:
    with contextlib.closing(Connection()) as kernel:
        assert kernel.commit([messages.delete_service(FOREIGN)]) == []
