"""A kernel without nf_tables, and without a match that iptables mode cannot do without: `auto` ends in ipvs mode, or where the node's
iptables knows no sets either, in userspace mode, which works."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.kernel.nftables.examples import SETTINGS, every_kind
from tests.kernels.automatic import chosen
from tests.kernels.conftest import Start
from tests.kernels.node import Node
from tests.unit.agent.dataplane.nftables.frontends import frontends, ip

from proxyconfig_agent.dataplane.iptables.iptables import Iptables
from proxyconfig_agent.dataplane.port import DataplaneError

pytestmark = pytest.mark.kernel

ADDRESSES = {"192.168.50.1": "10.96.0.77", "fd00:50::1": "fd00:96::77"}
"""Of the node in each family, and a ClusterIP."""


@pytest.fixture
def addressed(node: Node) -> Node:
    """A node with its addresses, and a way to all others."""
    node.space.ip(["link set lo up", "link add eth0 type dummy", "link set eth0 up"])
    node.space.ip([f"addr add {address}/{24 if '.' in address else 64} dev eth0 nodad" for address in ADDRESSES])
    node.space.ip(["route add default dev eth0", "route add ::/0 dev eth0"])
    return node


@pytest.fixture
def setless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """iptables of a node without the extension for sets: ipvs mode needs it here."""
    for extension in Path("/usr/lib").glob("*/xtables/*.so"):
        if "_set" not in extension.name:
            (tmp_path / extension.name).symlink_to(extension)
    monkeypatch.setenv("XTABLES_LIBDIR", str(tmp_path))


def test_auto_ends_in_ipvs_mode_where_iptables_can_lead_to_virtual_servers(addressed: Node) -> None:
    mode, found = addressed.space.call(chosen, every_kind())
    assert (mode.desired, mode.effective, mode.reason) == ("auto", "ipvs", "NextBest")
    assert found["ip sets"] == "available"
    assert "KUBE-CLUSTER-IP" in addressed.space.run("ipset", "list", "-n")
    done = addressed.clean_up()
    assert (done.status, done.printed[-1]) == (0, "0 kernel objects of proxyconfig are left")


@pytest.mark.usefixtures("setless")
def test_auto_ends_in_userspace_mode_and_says_what_the_others_lack(addressed: Node) -> None:
    mode, _ = addressed.space.call(chosen, every_kind())
    assert (mode.desired, mode.effective, mode.reason) == ("auto", "userspace", "NextBest")
    assert "no nftables, as the kernel lacks nf_tables" in mode.message
    assert "no iptables, as statistic for IPv4 is missing" in mode.message
    assert mode.message.count("load the module") == 1
    assert "statistic" not in addressed.space.run("iptables-legacy-save")
    done = addressed.clean_up()
    assert (done.status, done.printed[-1]) == (0, "0 kernel objects of proxyconfig are left")
    assert "KUBE-" not in addressed.space.run("iptables-legacy-save")


@pytest.mark.usefixtures("setless")
def test_connections_reach_endpoints(addressed: Node) -> None:
    ports = [frontends("web", vip, (f"[{address}]:8080",)) for address, vip in ADDRESSES.items()]
    settings = replace(SETTINGS, proxy_addresses=tuple(ip(address) for address in ADDRESSES))
    addressed.space.call(chosen, ports, settings)
    for address, vip in ADDRESSES.items():
        family = socket.AF_INET if "." in address else socket.AF_INET6
        with contextlib.closing(addressed.space.call(socket.socket, family)) as server:
            server.bind((address, 8080))
            server.listen()
            server.settimeout(60)
            with addressed.space.call(socket.create_connection, (vip, 80), 60) as client:
                served, _ = server.accept()
                with served:
                    client.sendall(b"question")
                    assert served.recv(100) == b"question"


def test_iptables_mode_names_the_match_that_is_missing(start: Start) -> None:
    with pytest.raises(DataplaneError, match=r"statistic for IPv4 is missing.*missing kernel module"):
        start(Iptables).probe()
