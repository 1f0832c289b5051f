"""A Service that cannot be programmed is set aside alone: an Event on it and its node's status say why, all others work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.installed import Installed, condition
from tests.e2e.web import Web
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SENTENCE = (
    "spec.externalIPs: fd00:60::99 is IPv6, but the Service has no IPv6 cluster IP; it is not served: "
    "add IPv6 to spec.ipFamilies or remove the address"
)
WRONG = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "four-only", "namespace": "default"},
    "spec": {
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "externalIPs": ["fd00:60::99"],
        "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": 8080}],
    },
}


@pytest.fixture
def wrong(everywhere: Installed) -> Iterator[str]:
    """The name of a Service with an address of a family that it does not have."""
    everywhere.apply(WRONG)
    yield "four-only"
    everywhere.kubectl("delete", "service", "four-only", "--ignore-not-found")


def test_an_address_of_the_wrong_family_is_told_where_users_look_and_harms_nothing_else(
    everywhere: Installed, served: Web, wrong: str
) -> None:
    def told_by_nodes() -> bool:
        proxies = everywhere.objects("nodeproxies")
        return all(proxy["status"].get("quarantined") == [{"service": f"default/{wrong}", "reason": SENTENCE}] for proxy in proxies)

    eventually(told_by_nodes, within_s=60, every_s=0.5)
    eventually(lambda: everywhere.kubectl("describe", "service", wrong), within_s=60, every_s=0.5, until=lambda told: SENTENCE in told)
    degraded = everywhere.eventually(everywhere.config, lambda found: condition(found, "Degraded").get("status") == "True")
    assert condition(degraded, "Degraded")["reason"] == "NodesDegraded"
    assert f"default/{wrong}" in condition(degraded, "Degraded")["message"]
    assert condition(degraded, "Ready")["status"] == "True"
    for command in (served.outside(0), served.outside(1), served.from_pod()):
        eventually(lambda command=command: served.answered_by(3, command), within_s=180, every_s=0.5)  # type: ignore[misc]


def test_it_is_served_when_it_was_repaired(everywhere: Installed, served: Web, wrong: str) -> None:
    everywhere.eventually(everywhere.config, lambda found: condition(found, "Degraded").get("status") == "True")
    everywhere.kubectl("patch", "service", wrong, "--type=merge", "-p", '{"spec": {"externalIPs": ["203.0.113.77"]}}')
    everywhere.eventually(everywhere.config, lambda found: condition(found, "Degraded").get("status") == "False")
    ask = (*served.from_pod()[:-1], "http://203.0.113.77/")
    eventually(lambda: served.answered_by(3, ask), within_s=180, every_s=0.5)
