"""What a snapshot works out, and how often."""

from __future__ import annotations

from tests.unit.operator.builders import P1, X1, config, labelled, pod, pod_revision, proxy, reported, revision, snapshot

from proxyconfig_api.objects import names
from proxyconfig_operator.decide.plan import plan_of
from proxyconfig_operator.model.waits import Waits
from proxyconfig_operator.status.status import status_of

NODES = ("n1", "n2", "n3")


class Asked(frozenset[str]):
    """Counts how often it is asked whether a node is among them."""

    count = 0

    def __contains__(self, name: object) -> bool:
        Asked.count += 1
        return super().__contains__(name)


def test_a_pass_works_out_the_state_of_a_node_once_for_plan_and_status() -> None:
    spec = config(finalizers=(names.FINALIZER,))
    there = snapshot(
        [spec],
        [labelled(name, "x") for name in NODES],
        proxies=[proxy(name, revision=X1, **reported(X1)) for name in NODES],
        pods=[pod(f"p-{name}", name) for name in NODES],
        revisions=[revision(X1, 1), pod_revision(P1)],
        waits=Waits(heard=Asked(NODES)),
    )
    Asked.count = 0
    status = status_of(spec, there, plan_of(spec, there))
    assert (status.nodes.ready, Asked.count) == (3, 3)
