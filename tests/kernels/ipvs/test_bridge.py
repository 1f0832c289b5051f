"""Pods of one node on one bridge, as many network plugins have them: what depends on br_netfilter, and what does not."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from tests.kernel.in_namespace import Entered
from tests.kernels.ipvs.packets import FAMILIES, TALKING, service_ip
from tests.support.netns.namespace import Namespace, namespaces
from tests.support.netns.talker import Talker
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.ipvs.ipvs import Ipvs
from proxyconfig_agent.dataplane.ipvs.mode import NEEDED
from proxyconfig_agent.dataplane.port import Settings

NODE, CLIENT, SERVER = ({4: f"10.244.0.{number}", 6: f"fd00:244::{number}"} for number in (1, 10, 11))
SWITCH = {4: "net.bridge.bridge-nf-call-iptables", 6: "net.bridge.bridge-nf-call-ip6tables"}
FORWARDING = {"net.ipv6.conf.all.forwarding": "1", "net.ipv6.conf.default.accept_dad": "0"}


@pytest.fixture
def world() -> Iterator[dict[str, Namespace]]:
    """A node with a bridge, and two pods on it."""
    with namespaces("node", "client", "server") as made:
        for space in made.values():
            space.sysctl(FORWARDING)
        node = made["node"]
        node.sysctl(NEEDED)
        node.ip(["link add cni0 type bridge", "link set cni0 up", *(f"addr add {own}/{_length(own)} dev cni0" for own in NODE.values())])
        for pod, addresses in (("client", CLIENT), ("server", SERVER)):
            node.ip([f"link add {pod} type veth peer name eth0 netns {made[pod].name}", f"link set {pod} master cni0 up"])
            made[pod].ip(["link set eth0 up", *(f"addr add {own}/{_length(own)} dev eth0" for own in addresses.values())])
            made[pod].ip([f"route add default via {NODE[family]}" for family in FAMILIES])
        yield made


@pytest.mark.parametrize("family", FAMILIES)
def test_pods_of_one_bridge_need_br_netfilter_and_the_node_does_not(world: dict[str, Namespace], family: int) -> None:
    node, address = world["node"], service_ip(family, 1)
    endpoint = f"{SERVER[family]}:{TALKING}" if family == 4 else f"[{SERVER[family]}]:{TALKING}"
    dataplane = Entered(node, Ipvs)
    with contextlib.closing(Talker(world["server"], "server", SERVER[family], TALKING)):
        dataplane.resync(Settings(node_addresses=(ip(NODE[family]),)), [frontends("web", address, (endpoint,))])
        node.sysctl({SWITCH[family]: "0"})
        assert _asked(node, address) == "server"
        with pytest.raises(OSError, match="timed out"):
            _asked(world["client"], address, timeout_s=3)
        node.sysctl({SWITCH[family]: "1"})
        assert _asked(world["client"], address) == "server"
    dataplane.remove()
    dataplane.close()


def _asked(space: Namespace, address: str, timeout_s: float = 30) -> str:
    with space.call(lambda: socket.create_connection((address, 80), timeout=timeout_s)) as connection:
        connection.sendall(b"x")
        return connection.recv(100).decode()


def _length(address: str) -> int:
    return 64 if ":" in address else 24
