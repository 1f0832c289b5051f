"""No packet of a cluster leaves the machine, and a switch that could let one out is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster import registry, remains
from tests.cluster.command import run
from tests.cluster.errors import ClusterError
from tests.cluster.network import Switch, inside, write_sysctls
from tests.support.polling import eventually

pytestmark = pytest.mark.kernel
_CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), timeout=30)
except ConnectionRefusedError:
    sys.exit(0)
sys.exit("not refused")
"""


@pytest.fixture
def switch(tmp_path: Path) -> Iterator[Switch]:
    entry = registry.reserve(tmp_path / "cluster")
    try:
        made = Switch(entry.number)
        made.create()
        yield made
    finally:
        remains.remove(entry)


def test_nodes_reach_each_other_and_the_api_servers_address_in_both_families(switch: Switch) -> None:
    first, second = switch.attach("a", 11), switch.attach("b", 12)
    for target in (second.ipv4, second.ipv6, switch.address, switch.address6):
        run(*inside(first.namespace), "python3", "-c", _CONNECT, target)  # refused by the target itself: it was reached


@pytest.mark.parametrize("target", ["10.96.0.1", "192.0.2.1", "fd00:10:96::1", "2001:db8::1"])
def test_a_packet_to_an_address_that_nobody_has_dies_at_the_switch(switch: Switch, target: str) -> None:
    node = switch.attach("a", 11)
    before = _sent_to_machine(switch)
    probe = "import socket,sys; s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM);"
    run(*inside(node.namespace), "python3", "-c", probe + " s.sendto(b'x', (sys.argv[1], 9))", target)
    assert _sent_to_machine(switch) == before


def test_a_switch_with_a_way_out_is_refused(switch: Switch) -> None:
    run("ip", "-n", switch.namespace, "route", "add", "default", "via", f"198.18.{switch.number}.254")
    with pytest.raises(ClusterError, match="has a way out"):
        switch.verify_closed()


@pytest.mark.parametrize("setting", ["net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1"])
def test_a_switch_that_forwards_is_refused(switch: Switch, setting: str) -> None:
    write_sysctls(switch.namespace, (setting,))
    with pytest.raises(ClusterError, match="forwarding is on"):
        switch.verify_closed()


def test_a_switch_with_an_unknown_link_is_refused(switch: Switch) -> None:
    run("ip", "-n", switch.namespace, "link", "add", "uplink", "type", "bridge")
    with pytest.raises(ClusterError, match="uplink"):
        switch.verify_closed()


def test_what_a_detached_namespace_had_is_gone(switch: Switch) -> None:
    switch.detach(switch.attach("a", 11))
    again = switch.attach("a", 11)
    assert again.ipv4 in run("ip", "-n", again.namespace, "addr")


def _sent_to_machine(switch: Switch) -> int:
    return int(Path(f"/sys/class/net/pxc{switch.number}/statistics/rx_packets").read_text())


def test_a_number_that_was_freed_and_taken_again_while_a_run_swept_stays(tmp_path: Path) -> None:
    left = registry.reserve(tmp_path / "left")
    left.keep()  # and its folder is not there: abandoned
    with registry.one_at_a_time("sweep"):
        sweeping = threading.Thread(target=remains.sweep)
        sweeping.start()
        eventually(lambda: b"->" in Path("/proc/locks").read_bytes(), within_s=60)  # it has seen what is left, and waits
        left.release()
        (tmp_path / "new").mkdir()
        taken = registry.reserve(tmp_path / "new")
        Switch(taken.number).create()
    sweeping.join()
    try:
        assert taken.number == left.number
        assert list(remains.found(taken.number))
    finally:
        remains.remove(taken)
