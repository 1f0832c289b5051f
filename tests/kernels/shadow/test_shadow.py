"""What the real kube-proxy makes in ipvs mode does what the agent would do, for every Service but those that it serves otherwise in this
mode; where somebody breaks a part, its Service is named. No part of `make kernels`, as it takes some minutes:

python -m tests.kernels count complete shadow
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from tests.acceptance.upstreamipvs import because
from tests.kernel.traffic.stage import Report
from tests.kernels.shadow.kubeproxy import CONFIG, Observed, objects, observed
from tests.support.scenarios.cases import rounds_of
from tests.support.scenarios.scenario import load
from tests.unit.agent.dataplane.nftables.frontends import ip

from proxyconfig_agent.checks.shadow.comparison import Compared
from proxyconfig_agent.checks.shadow.report import shadow_of
from proxyconfig_agent.ingest.model import Protocol
from proxyconfig_agent.netlink.ipvs import messages
from proxyconfig_agent.netlink.ipvs.connection import Connection
from proxyconfig_agent.netlink.ipvs.messages import VirtualServer

pytestmark = [pytest.mark.kernel, pytest.mark.apiserver, pytest.mark.timeout(1800)]

WEIGHTLESS, UNMASQUERADED = "row-006/several", "matrix-node-port/web"
REFUSED = "ranges-without-endpoints/web"
"""Of a virtual server without destinations, IPVS refuses what processes of the node send before KUBE-IPVS-OUT-FILTER asks for ranges."""
_WITHOUT_ADDRESSES = {"row-077/headless", "row-077/name"}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    with observed(objects(), tmp_path_factory.mktemp("kube-proxy")) as made:
        yield made


def test_all_services_match_but_for_those_that_kube_proxy_serves_otherwise_in_this_mode(there: Observed, record_property: Report) -> None:
    found = there.compare()
    shadow = shadow_of(found)
    print(f"\n{shadow.score}: {shadow.matching} of {shadow.flows} flows, {shadow.differing} of {len(found)} Services differ")
    for each in found:
        if each.difference:
            print(f"{each.service}: {each.matching} of {each.flows}: {each.difference}")
    record_property("shadow", shadow.score)

    assert len(found) > 100
    assert all(each.flows for each in found if str(each.service) not in _WITHOUT_ADDRESSES)
    assert _differing(found) - _by_local_policy(there) == {REFUSED}
    assert _tried_to_differ() <= {each.service.namespace for each in found if each.difference}


def test_a_service_of_which_a_part_is_broken_is_named_and_no_other(there: Observed) -> None:
    before = _differing(there.compare())
    there.node.call(_weigh, _server(there, WEIGHTLESS, 0), 0)
    address = there.objects["Service", *_split(UNMASQUERADED)]["spec"]["clusterIPs"][1]
    there.node.run("ipset", "del", "KUBE-6-CLUSTER-IP", f"{address},udp:80")

    assert _differing(there.compare()) - before == {WEIGHTLESS, UNMASQUERADED}


def _by_local_policy(there: Observed) -> set[str]:
    services = {key: each["spec"] for key, each in there.objects.items() if key[0] == "Service"}
    policies = ("externalTrafficPolicy", "internalTrafficPolicy")
    return {f"{key[1]}/{key[2]}" for key, spec in services.items() if "Local" in map(spec.get, policies)}


def _tried_to_differ() -> set[str]:
    """The scenarios that ended otherwise with real packets to addresses of their Services."""
    first = next(each for each in rounds_of(load(), mode="ipvs") if each.config == CONFIG.name)
    return {case.scenario for case in first.cases if because(case) and ".Unallocated[" not in case.id}


def _differing(found: list[Compared]) -> set[str]:
    return {str(each.service) for each in found if each.difference}


def _server(there: Observed, service: str, family: int) -> VirtualServer:
    spec = there.objects["Service", *_split(service)]["spec"]
    return VirtualServer(Protocol.TCP, ip(spec["clusterIPs"][family]), spec["ports"][0]["port"])


def _split(service: str) -> tuple[str, str]:
    namespace, _, name = service.partition("/")
    return namespace, name


def _weigh(server: VirtualServer, weight: int) -> None:
    """One destination."""
    with contextlib.closing(Connection()) as kernel:
        destination = min(kernel.destinations(server))
        assert kernel.commit([messages.set_destination(server, destination, weight)]) == []
