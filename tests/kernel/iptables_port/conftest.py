"""A network namespace whose kubelet uses one of the two back ends, and data planes in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from tests.kernel.in_namespace import Entered
from tests.support.netns.namespace import Namespace, namespaces

from proxyconfig_agent.dataplane.iptables.iptables import Iptables
from proxyconfig_agent.dataplane.iptables.tools.binaries import Backend


@dataclass(frozen=True, slots=True)
class Node:
    """`space` is the network namespace."""

    space: Namespace
    backend: Backend

    def iptables(self, *arguments: str) -> str:
        return self.space.run(f"iptables-{self.backend}", *arguments)

    def saved(self, prefix: str = "iptables") -> list[str]:
        """The rules as iptables-save prints them, without what depends on the time; in order."""
        return [line for line in self.space.run(f"{prefix}-{self.backend}-save").splitlines() if not line.startswith("#")]

    def everything(self) -> list[str]:
        """Both families, and no order: that of Services in shared chains is nobody's."""
        return sorted(self.saved() + self.saved("ip6tables"))


@pytest.fixture
def space() -> Iterator[Namespace]:
    with namespaces("ipt") as made:
        yield made["ipt"]


@pytest.fixture(params=Backend)
def node(request: pytest.FixtureRequest, space: Namespace) -> Node:
    """The kubelet has made its chains in the back end."""
    for program in (f"iptables-{request.param}", f"ip6tables-{request.param}"):
        space.run(program, "-t", "mangle", "-N", "KUBE-IPTABLES-HINT")
    return Node(space, request.param)


@pytest.fixture
def start(space: Namespace) -> Iterator[Callable[[], Entered]]:
    """Start another data plane in the namespace, as a restarted agent would."""
    started: list[Entered] = []

    def another() -> Entered:
        started.append(Entered(space, Iptables))
        return started[-1]

    yield another
    for dataplane in started:
        dataplane.remove()
        dataplane.close()


@pytest.fixture
def dataplane(node: Node, start: Callable[[], Entered]) -> Entered:  # noqa: ARG001 - the back end has to be there first
    return start()
