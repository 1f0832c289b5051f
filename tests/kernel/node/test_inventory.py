"""What is in a network namespace, as pyroute2 reads it from a real kernel, and what `--init` and `--cleanup` say of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.support.netns.namespace import Namespace, namespaces
from tests.support.netns.programs import ROOT

pytestmark = pytest.mark.kernel

WITHOUT_NET_ADMIN = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")


@pytest.fixture
def node() -> Iterator[Namespace]:
    with namespaces("node") as made:
        yield made["node"]


def agent(node: Namespace, option: str, *prefix: str) -> str:
    """What it prints."""
    argv = (sys.executable, "-m", "proxyconfig_agent", option, "--log-format=text")
    with node.spawn(*prefix, *argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        printed, _ = process.communicate(timeout=100)
    return printed


def test_links_addresses_routes_and_tables_are_read(node: Namespace) -> None:
    node.ip(
        [
            "link set lo up",
            "link add eth0 type bridge",
            "address add 192.0.2.1/24 dev eth0",
            "address add 2001:db8::1/64 dev eth0 nodad",
            "link set eth0 up",
            "route add default via 192.0.2.2",
        ]
    )
    node.run("nft", "add table ip kube-proxy; add table inet other")
    # In a separate process, as in use: pyroute2 leaves an event loop open where a part of the kernel is not there.
    found = node.run(sys.executable, "-c", "from proxyconfig_agent.node.inventory.inventory_reader import read; print(read())")
    assert "Link(name='eth0', up=True, addresses=('192.0.2.1/24', '2001:db8::1/64'))" in found
    assert "default_routes=frozenset({<Family.IPV4: 4>})" in found
    assert "tables=('inet other', 'ip kube-proxy')" in found or "tables=('ip kube-proxy', 'inet other')" in found


def test_init_says_which_family_is_off_and_what_keeps_services_from_working(node: Namespace) -> None:
    node.ip(["link set lo up", "link add eth0 type bridge", "address add 192.0.2.1/24 dev eth0", "link set eth0 up"])
    # As in the pod, whose init container has CAP_SYS_MODULE alone.
    printed = agent(node, "--init", *WITHOUT_NET_ADMIN)
    assert 'ipv4=on ipv6="no address"' in printed
    assert "there is no default route in IPv4" in printed
    assert "net.ipv4.ip_forward is 0" in printed


def test_cleanup_proves_by_pyroute2_that_nothing_of_ours_is_left_and_names_what_is_kube_proxys(node: Namespace) -> None:
    node.ip(["link add kube-ipvs0 type bridge", "address add 10.96.0.1/32 dev kube-ipvs0"])
    node.run("nft", "add table ip6 kube-proxy")
    printed = agent(node, "--cleanup").splitlines()
    assert [line for line in printed if not line.startswith("modules ")] == [
        "link kube-ipvs0 with 1 addresses: made by kube-proxy, and removed by `kube-proxy --cleanup`",
        "table ip6 kube-proxy: made by kube-proxy, and removed by `kube-proxy --cleanup`",
        "0 kernel objects of proxyconfig are left",
    ]


def test_cleanup_without_the_capability_says_what_it_could_not_do(node: Namespace) -> None:
    printed = agent(node, "--cleanup", *WITHOUT_NET_ADMIN)
    assert "not removed: nftables: " in printed
    assert "not removed: the rest of the network namespace cannot be read: Operation not permitted" in printed
    assert "Traceback" not in printed


def test_cleanup_on_a_kernel_without_netfilter_netlink_finds_nothing(node: Namespace) -> None:
    lacking = (sys.executable, "-m", "tests.kernel.faults.lacking", "nfnetlink")
    assert agent(node, "--cleanup", *lacking).splitlines()[-1] == "0 kernel objects of proxyconfig are left"
