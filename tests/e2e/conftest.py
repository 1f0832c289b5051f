"""One cluster with the product and its peers for all end-to-end tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest
from tests.cluster import cluster
from tests.e2e import workload
from tests.e2e.evidence import TESTED, ends_in_order, pytest_runtest_makereport
from tests.e2e.installed import CONFIG, Installed, installed
from tests.e2e.surroundings import NodeAddress, nodes_of, prober_in, prober_outside
from tests.e2e.web import Web, web
from tests.support.netns.peers import Prober
from tests.support.netns.topology import Pair
from tests.support.polling import eventually

__all__ = ["ends_in_order", "pytest_runtest_makereport"]  # pytest looks for them here

CASES = pytest.StashKey[int]()


def proxy_config(name: str = CONFIG, **spec: object) -> dict[str, object]:
    """The ProxyConfig of these tests: all nodes, nftables, and changes that reach them without a wait."""
    rollout = {"holdPeriod": "0s", "maxUnavailable": "100%"}
    wanted = {"mode": "nftables", "localTraffic": {"detectLocalMode": "NodeCIDR"}, "rollout": rollout, **spec}
    return {"apiVersion": "proxyconfig.dev/v1alpha1", "kind": "ProxyConfig", "metadata": {"name": name}, "spec": wanted}


@pytest.fixture(scope="session")
def product(request: pytest.FixtureRequest) -> Iterator[Installed]:
    """The cluster with the product on it, and one ProxyConfig for all nodes, Ready."""
    with installed("e2e") as made:
        request.config.stash[TESTED] = made
        made.apply(proxy_config())
        made.ready(within_s=120)
        eventually(made.is_rolled_out, within_s=120, every_s=0.5)
        yield made


@pytest.fixture(scope="session")
def local(product: Installed) -> cluster.Cluster:
    """The cluster, if it is one of this machine's own."""
    if product.local is None:
        pytest.skip("looks into nodes, which is done on local clusters only")
    return product.local


@pytest.fixture(scope="session")
def served(product: Installed, local: cluster.Cluster) -> Iterator[Web]:
    """Three backends on a local cluster's nodes, behind Services, and a client."""
    with web(product, local) as made:
        yield made


@pytest.fixture
def everywhere(product: Installed) -> Installed:
    """The cluster, with the ProxyConfig on all nodes, Ready, whatever the test before did."""
    product.apply(proxy_config())
    product.ready()
    return product


@pytest.fixture(scope="session")
def nodes(product: Installed) -> list[NodeAddress]:
    """The first two nodes."""
    found = nodes_of(product)[:2]
    assert len(found) == 2, "end-to-end tests need two nodes"
    return found


@pytest.fixture(scope="session")
def peers(product: Installed, nodes: list[NodeAddress]) -> Iterator[Mapping[str, Pair]]:
    """The pods that answer and ask, by name."""
    yield workload.create(product, nodes)
    workload.delete(product)


@pytest.fixture(scope="session")
def probers(product: Installed, peers: Mapping[str, Pair]) -> Iterator[Mapping[str, Prober]]:
    """A client in each of them, and `outside`."""
    with contextlib.ExitStack() as stack:
        made = {name: stack.enter_context(prober_in(product, name, workload.NAME)) for name in peers}
        made["outside"] = stack.enter_context(prober_outside(product.local))
        yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases of the behaviour table there were."""
    count = terminalreporter.config.stash.get(CASES, 0)
    if count:
        terminalreporter.write_line(f"traffic cases with real packets, on the cluster: {count}")
