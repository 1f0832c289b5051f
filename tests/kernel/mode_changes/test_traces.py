"""A mode of which a node has nothing is not even imported there; the least that is there of one makes it a mode that has to go."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator

import pytest
from tests.support.netns.namespace import Namespace, namespaces

from proxyconfig_agent.dataplane.modes import traces
from proxyconfig_agent.dataplane.modes.modes import spec_of
from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_agent.dataplane.modes.takeover import removed
from proxyconfig_api.spec.sections import Mode

pytestmark = pytest.mark.kernel

MODES = (Mode.NFTABLES, Mode.IPTABLES, Mode.USERSPACE)
"""Of ipvs mode there may be something wherever IPVS is loaded."""
LOOK = """
import sys
from pathlib import Path
from proxyconfig_agent.dataplane.modes.modes import spec_of
from proxyconfig_api.spec.sections import Mode
for mode in (Mode.NFTABLES, Mode.IPTABLES, Mode.USERSPACE, *(() if Path("/proc/net/ip_vs").exists() else (Mode.IPVS,))):
    assert not list(spec_of(mode).left_behind()), mode
print(*sys.modules)
"""


@pytest.fixture
def node() -> Iterator[Namespace]:
    with namespaces("node") as made:
        yield made["node"]


def left(node: Namespace) -> list[Mode]:
    """The modes that may have left something."""
    return [mode for mode in MODES if node.call(_is_left, mode)]


def _is_left(mode: Mode) -> bool:
    with contextlib.ExitStack() as made:
        return bool([made.enter_context(contextlib.closing(each)) for each in spec_of(mode).left_behind()])


@contextlib.contextmanager
def process(node: Namespace, name: str) -> Iterator[None]:
    """What the socket of a proxy process is called."""
    with node.call(socket.socket, socket.AF_UNIX, socket.SOCK_STREAM) as made:
        made.bind(f"\0{name}/4711")
        yield


def test_what_an_empty_node_has_nothing_of_is_not_imported(node: Namespace) -> None:
    imported = node.run(sys.executable, "-c", LOOK).split()
    assert "proxyconfig_agent.dataplane.modes.traces" in imported
    modes = [f"proxyconfig_agent.dataplane.{mode.value}.{mode.value}" for mode in Mode if mode is not Mode.AUTO]
    assert not set(modes) & set(imported)


@pytest.mark.parametrize("family", ["ip", "ip6"])
@pytest.mark.parametrize(
    ("name", "mode"),
    [
        pytest.param("proxyconfig", Mode.NFTABLES, id="nftables mode"),
        pytest.param("proxyconfig-localhost", Mode.NFTABLES, id="NodePorts on loopback addresses in nftables mode"),
        pytest.param("proxyconfig-userspace", Mode.USERSPACE, id="userspace mode"),
    ],
)
def test_one_table_is_a_trace_and_goes(node: Namespace, family: str, name: str, mode: Mode) -> None:
    node.run("nft", "add", "table", family, name)
    assert left(node) == [mode]
    assert node.call(lambda: removed(spec_of(mode).left_behind())) == []
    assert left(node) == []


@pytest.mark.parametrize(("name", "mode"), [("proxyconfig-localhost", Mode.NFTABLES), ("proxyconfig-userspace", Mode.USERSPACE)])
def test_a_proxy_process_is_a_trace(node: Namespace, name: str, mode: Mode) -> None:
    with process(node, name):
        assert left(node) == [mode]
    assert left(node) == []


def test_what_is_called_otherwise_is_none(node: Namespace) -> None:
    node.run("nft", "add", "table", "ip", "proxyconfig-of-others")
    node.run("nft", "add", "table", "inet", "proxyconfig")
    with process(node, "proxyconfig-userspace-of-others"):
        assert left(node) == []


def test_chains_with_kube_proxys_names_are_those_of_the_mode_that_has_claimed_them(node: Namespace) -> None:
    claimed = node.call(lambda: Ownership(owner=Mode.USERSPACE.value))
    try:
        assert not claimed.claim()
        assert left(node) == [Mode.USERSPACE]
    finally:
        claimed.release()


def test_where_the_kernel_does_not_say_there_may_be_something(node: Namespace) -> None:
    without = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    found = node.run(*without, sys.executable, "-c", "from proxyconfig_agent.dataplane.modes import traces; print(traces.may_be_here('x'))")
    assert found.strip() == "True"
    assert not node.call(traces.may_be_here, "x")
