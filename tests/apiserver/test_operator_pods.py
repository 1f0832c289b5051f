"""The agents' pods are replaced in the waves of a rollout, and go back with it: a real API server, a real operator, simulated kubelets."""

from __future__ import annotations

import pytest
from tests.apiserver.expect import is_ready, says, soon
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import CONFIGS, DAEMONSETS, PODS, PROXIES, Api, config
from tests.apiserver.test_operator_waves import ended, installed

from proxyconfig_api.objects import names

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("operator")]

IMAGE = "registry.test/agent:2"
NEW = {"spec": {"agent": {"image": IMAGE}}}


def pods(api: Api) -> dict[str, tuple[str, str]]:
    """The uid and the image of the pod on each node."""
    return {
        each["spec"]["nodeName"]: (each["metadata"]["uid"], each["spec"]["containers"][0]["image"])
        for each in api.every(PODS)
        if "deletionTimestamp" not in each["metadata"]
    }


def template(api: Api) -> str:
    """The pod revision of the DaemonSet."""
    labels = api.have(f"{DAEMONSETS}/proxyconfig-x")["spec"]["template"]["metadata"]["labels"]
    return str(labels[names.POD_REVISION_LABEL])


def test_another_image_replaces_the_pods_in_waves(api: Api, fleet: Fleet) -> None:
    nodes = installed(api, fleet)
    before = pods(api)
    api.patch(f"{CONFIGS}/x", NEW)
    soon(lambda: pods(api), until=lambda seen: seen.get("n0", ("", ""))[1] == IMAGE)

    rollout = ended(api, "Complete")

    assert (rollout["wave"], rollout["waves"], rollout["updated"]) == (4, 4, 6)
    after = pods(api)
    assert {after[name][1] for name in nodes} == {IMAGE}
    assert not set(before.values()) & set(after.values())
    assert {api.have(f"{PROXIES}/{name}")["spec"]["podRevision"] for name in nodes} == {rollout["podRevision"]}
    soon(lambda: template(api) == rollout["podRevision"])
    is_ready(api, "x", 6)


@pytest.mark.parametrize("trouble", ["missing", "never-ready"])
def test_an_image_that_fails_on_the_canary_goes_back_and_no_other_pod_is_touched(api: Api, fleet: Fleet, trouble: str) -> None:
    (fleet.missing_images if trouble == "missing" else fleet.unready_images).add(IMAGE)
    nodes = installed(api, fleet, progressDeadline="5s")
    before, good = pods(api), template(api)
    api.patch(f"{CONFIGS}/x", NEW)

    rollout = ended(api, "RolledBack")

    assert (rollout["failed"], rollout["aborted"], rollout["previousPodRevision"]) == (1, 5, good)
    assert "n0" in says(api, "x", "Stalled", "True", "RolloutFailed")["message"]
    after = soon(lambda: pods(api), until=lambda seen: len(seen) == len(nodes))
    assert {name for name in nodes if after[name] != before[name]} == {"n0"}
    assert after["n0"][1] == before["n0"][1]
    assert template(api) == good


def test_while_paused_no_pod_is_replaced(api: Api, fleet: Fleet) -> None:
    installed(api, fleet, paused=False)
    before = pods(api)
    api.patch(f"{CONFIGS}/x", {"spec": {"rollout": {"paused": True}}})
    says(api, "x", "Paused", "True")
    api.patch(f"{CONFIGS}/x", NEW)
    soon(lambda: api.have(f"{CONFIGS}/x"), until=lambda seen: seen["status"]["observedGeneration"] == seen["metadata"]["generation"])

    assert pods(api) == before
    assert "has yet to come to 6 of 6 nodes" in says(api, "x", "Ready", "False", "Paused")["message"]
    plan = api.have(f"{CONFIGS}/x")["status"]["plan"]
    assert (plan["fields"], plan["nodes"], plan["waves"]) == ([{"path": "agent.image", "disruption": "RestartsAgents"}], 6, 4)
    api.patch(f"{CONFIGS}/x", {"spec": {"rollout": {"paused": False}}})
    soon(lambda: {image for _, image in pods(api).values()}, until=lambda seen: seen == {IMAGE})


@pytest.mark.parametrize(("old", "new", "pod_first"), [("nftables", "iptables", True), ("iptables", "nftables", False)])
def test_the_pod_and_the_revision_of_another_mode_come_one_after_the_other(
    api: Api, fleet: Fleet, old: str, new: str, *, pod_first: bool
) -> None:
    fleet.join("n0")
    api.apply(f"{CONFIGS}/x", config("x", mode=old, rollout={"holdPeriod": "1s"}))
    is_ready(api, "x", 1)
    ended(api, "Complete")
    before = release(api)
    api.patch(f"{CONFIGS}/x", {"spec": {"mode": new}})
    seen = soon(lambda: release(api), until=lambda found: found != before)

    ended(api, "Complete")

    after = release(api)
    assert seen == ((before[0], after[1]) if pod_first else (after[0], before[1]))
    assert "next" not in api.have(f"{PROXIES}/n0")["spec"]
    assert api.have(f"{PROXIES}/n0")["metadata"]["generation"] == 3


def release(api: Api) -> tuple[str, str]:
    """The revision and the pod revision that node n0 is ordered."""
    spec = api.have(f"{PROXIES}/n0")["spec"]
    return spec["revisionName"], spec["podRevision"]
