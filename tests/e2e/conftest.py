"""One cluster with the product and its peers for all end-to-end tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import pytest
from tests.cluster import cluster
from tests.e2e import workload
from tests.e2e.installed import Installed
from tests.e2e.site import CONFIG, NodeAddress, Site
from tests.e2e.site import site as provided
from tests.netns.namespace import Namespace
from tests.netns.peers import Prober
from tests.netns.topology import NEUTRAL, PUBLIC_CIDR, Pair
from tests.polling import eventually

CASES = pytest.StashKey[int]()
LIMITS = {name: value for name, value in NEUTRAL.items() if "ratemask" in name}


def proxy_config(name: str = CONFIG, **spec: object) -> dict[str, object]:
    """The ProxyConfig of these tests: all nodes, nftables."""
    wanted = {"mode": "nftables", "localTraffic": {"detectLocalMode": "NodeCIDR"}, **spec}
    return {"apiVersion": "proxyconfig.dev/v1alpha1", "kind": "ProxyConfig", "metadata": {"name": name}, "spec": wanted}


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The cluster, with one ProxyConfig for all nodes, Ready."""
    with provided() as made:
        made.apply(proxy_config())
        made.await_ready()
        eventually(made.is_rolled_out, within_s=120, every_s=0.5)
        yield made


@pytest.fixture(scope="session")
def product(site: Site) -> Installed:
    """The same cluster, as seen through kubectl."""
    return Installed(site.target.kubeconfig, site.local)


@pytest.fixture(scope="session")
def local(product: Installed) -> cluster.Cluster:
    """The cluster, if it is one of this machine's own."""
    if product.local is None:
        pytest.skip("looks into nodes, which is done on local clusters only")
    return product.local


@pytest.fixture
def everywhere(product: Installed) -> Installed:
    """The cluster, with the ProxyConfig on all nodes, Ready, whatever the test before did."""
    product.apply(proxy_config())
    product.ready()
    return product


@pytest.fixture(scope="session")
def nodes(site: Site) -> list[NodeAddress]:
    """The first two nodes."""
    found = site.nodes()[:2]
    assert len(found) == 2, "end-to-end tests need two nodes"
    return found


@pytest.fixture(scope="session")
def peers(site: Site, nodes: list[NodeAddress]) -> Iterator[Mapping[str, Pair]]:
    """The pods that answer and ask, by name."""
    workload.delete(site)
    yield workload.create(site, nodes)
    workload.delete(site)


@pytest.fixture(scope="session")
def probers(site: Site, peers: Mapping[str, Pair]) -> Iterator[Mapping[str, Prober]]:
    """A client in each of them, and `outside`."""
    with contextlib.ExitStack() as stack:
        made = {name: stack.enter_context(site.prober_in(name, workload.NAME)) for name in peers}
        made["outside"] = stack.enter_context(site.prober_outside())
        yield made


def told_outside(site: Site, node: NodeAddress) -> None:
    """Let the outside client send to the Services' and load balancers' addresses by way of this node; refusals are not limited there."""
    space = site.inside(node.name)
    assert site.local is not None
    assert space is not None
    outside = Namespace(site.local.outside.namespace, "outside")
    for family in (4, 6):
        for cidr in (site.service_cidr(), PUBLIC_CIDR):
            outside.run("ip", f"-{family}", "route", "replace", cidr[family], "via", node.address[family])
    for each in (space, outside):
        each.sysctl(LIMITS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases of the behaviour table there were."""
    count = terminalreporter.config.stash.get(CASES, 0)
    if count:
        terminalreporter.write_line(f"traffic cases with real packets, on the cluster: {count}")
