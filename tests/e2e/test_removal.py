"""A ProxyConfig is deleted while no operator runs: the next one asks every node, however late it is."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from tests.cluster import cluster, deploy
from tests.e2e.installed import CONFIG, Installed
from tests.e2e.reader import Object
from tests.e2e.web import on_node
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

OPERATOR = "deployment/proxyconfig-operator"
DEADLINE_S = 20
"""Instead of 120 s: the operator is away for longer."""


@pytest.fixture
def away(everywhere: Installed) -> Iterator[None]:
    """No operator; afterwards the usual ones."""
    before = everywhere.get("deployments", "proxyconfig-operator", deploy.NAMESPACE)["spec"]["replicas"]
    scale(everywhere, 0)
    eventually(lambda: operators(everywhere), within_s=120, every_s=0.5, until=lambda pods: pods == [])
    yield
    arguments(everywhere, [])
    scale(everywhere, before)
    everywhere.kubectl("-n", deploy.NAMESPACE, "rollout", "status", OPERATOR, "--timeout=120s", timeout_s=150)


@pytest.mark.usefixtures("away")
def test_an_operator_that_comes_back_after_the_deadline_leaves_no_rules_on_any_node(everywhere: Installed, local: cluster.Cluster) -> None:
    assert [tables(local, node) for node in range(len(local.nodes))] == [True] * len(local.nodes)
    deleting = everywhere.config()
    everywhere.kubectl("delete", "proxyconfigs.proxyconfig.dev", CONFIG, "--wait=false")
    deleted = time.monotonic()
    eventually(lambda: time.monotonic() - deleted > DEADLINE_S + 5, within_s=60, every_s=0.5)
    assert all(tables(local, node) for node in range(len(local.nodes))), "nobody has asked the agents yet"

    arguments(everywhere, [f"--removal-deadline={DEADLINE_S}"])
    scale(everywhere, 1)
    everywhere.eventually(everywhere.config, lambda found: found == {}, within_s=180)

    assert [tables(local, node) for node in range(len(local.nodes))] == [False] * len(local.nodes)
    (requested,) = eventually(lambda: everywhere.events("RemovalRequested", deleting), within_s=60, every_s=0.5)
    assert requested["note"].endswith("asked to remove all rules")
    (released,) = eventually(lambda: everywhere.events("Removed", deleting), within_s=60, every_s=0.5)
    assert released["note"] == "released, every node has confirmed its cleanup"
    assert everywhere.objects("nodeproxies") == []


def tables(local: cluster.Cluster, node: int) -> bool:
    """Whether a node has a table of ours."""
    return "proxyconfig" in on_node(local, node, "nft", "list", "tables")


def operators(product: Installed) -> list[Object]:
    return product.objects("pods", deploy.NAMESPACE, labels="app.kubernetes.io/name=proxyconfig-operator")


def scale(product: Installed, replicas: int) -> None:
    product.kubectl("-n", deploy.NAMESPACE, "scale", OPERATOR, f"--replicas={replicas}")


def arguments(product: Installed, words: list[str]) -> None:
    """Let operators start with these arguments."""
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "operator", "args": words}]}}}}
    product.kubectl("-n", deploy.NAMESPACE, "patch", OPERATOR, "-p", json.dumps(patch))
