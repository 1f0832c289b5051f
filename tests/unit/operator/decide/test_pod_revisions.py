"""Which revisions can run in which pods, and that a change of the mode goes by it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator.builders import INSTALLATION, P1, config, pod_revision, revision, snapshot
from tests.unit.operator.cluster import Cluster

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.revision import revision_of
from proxyconfig_api.rollout.request import Fits
from proxyconfig_operator.decide import agent_daemonset
from proxyconfig_operator.decide.plan import plan_of
from proxyconfig_operator.decide.pod_revisions import fits_of
from proxyconfig_operator.decide.snapshot import Snapshot
from proxyconfig_operator.model.objects import Config, Revision
from proxyconfig_operator.model.writes import Apply, Resource


def stored(each: Config) -> tuple[Revision, Revision]:
    """The revision of a spec, and that of its pods."""
    content, manifest = revision_of("x", each.spec), agent_daemonset.render(each, INSTALLATION)
    name, template = agent_daemonset.pod_revision_of(manifest), manifest["spec"]["template"]
    made = revision(content.name, 1)
    return Revision(made.metadata, 1, content.content), Revision(pod_revision(name).metadata, 1, {"template": template})


def names_of(mode: str, takeover: str = "Wait") -> tuple[str, str]:
    node, pods = stored(config(mode=mode, takeover=takeover))
    return node.metadata.name, pods.metadata.name.removeprefix("x-pods-")


def fits(now: Config, *before: str) -> Fits:
    """As the spec is now, after these modes."""
    there: Snapshot = snapshot([now], revisions=[each for mode in before for each in stored(config(mode=mode))])
    return fits_of(now, agent_daemonset.render(now, INSTALLATION), there)


@pytest.mark.parametrize(
    ("mode", "pods_of", "can"),
    [
        ("nftables", "iptables", True),
        ("iptables", "nftables", False),
        ("ipvs", "iptables", True),
        ("auto", "nftables", False),
        ("userspace", "auto", True),
    ],
)
def test_a_revision_can_run_in_pods_that_grant_what_its_mode_needs(mode: str, pods_of: str, can: bool) -> None:
    assert fits(config(mode=mode), pods_of)(names_of(mode)[0], names_of(pods_of)[1]) is can
    assert fits(config(mode=pods_of), mode)(names_of(mode)[0], names_of(pods_of)[1]) is can, "whichever of them is stored already"


def test_what_is_not_known_fits_nothing() -> None:
    known = fits(config(), "iptables")

    assert not known("x-gone", P1)
    assert not known(names_of("nftables")[0], "gone")
    assert not known(names_of("nftables")[0], "")


@pytest.mark.parametrize(
    ("old", "new", "pod_first"), [("nftables", "iptables", True), ("ipvs", "iptables", True), ("iptables", "nftables", False)]
)
def test_a_change_of_the_mode_is_ordered_in_two_steps(old: str, new: str, pod_first: bool) -> None:
    orders = ordered({"mode": old}, {"mode": new})

    (node_before, pods_before), (node_after, pods_after) = names_of(old), names_of(new)
    between = (node_before, pods_after) if pod_first else (node_after, pods_before)
    assert [(each["revisionName"], each["podRevision"]) for each in orders] == [between, (node_after, pods_after)]
    assert [each.get("next") for each in orders] == [{"revisionName": node_after, "podRevision": pods_after}, None]
    assert ["onFailure" in each.get("change", {}) for each in orders] == [not pod_first, True], "it comes with the revision"


@pytest.mark.parametrize(("old", "new", "pod_first"), [("Wait", "Observe", True), ("Observe", "Wait", False)])
def test_a_node_that_observes_has_a_pod_that_may_for_as_long_as_it_does(old: str, new: str, pod_first: bool) -> None:
    orders = ordered({"takeover": old}, {"takeover": new})

    (node_before, pods_before), (node_after, pods_after) = names_of("nftables", old), names_of("nftables", new)
    between = (node_before, pods_after) if pod_first else (node_after, pods_before)
    assert [(each["revisionName"], each["podRevision"]) for each in orders] == [between, (node_after, pods_after)]


def ordered(old: dict[str, str], new: dict[str, str]) -> list[dict[str, Any]]:
    """What a node that has the old spec is ordered on its way to the new one."""
    cluster = Cluster()
    cluster.do("join", "n1", "any")
    cluster.do("apply", "x", {**old, "rollout": {"holdPeriod": "0s"}})
    passes(cluster)
    cluster.do("apply", "x", {**new, "rollout": {"holdPeriod": "0s"}})
    return passes(cluster)


def passes(cluster: Cluster) -> list[dict[str, Any]]:
    """What the node is ordered in some passes of an operator that writes its status."""
    orders = []
    for _ in range(8):
        there = cluster.snapshot()
        plan = plan_of(there.configs["x"], there)
        writes = (*plan.prepare, *plan.move)
        orders += [dict(each.body["spec"]) for each in writes if isinstance(each, Apply) and each.resource is Resource.NODE_PROXY]
        cluster.carry_out(writes)
        cluster.objects[Resource.PROXY_CONFIG]["x"]["status"] = {"rollout": codec.builtins(plan.rollout)}
        cluster.report()
    return orders
