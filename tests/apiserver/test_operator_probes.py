"""A pod probes a change of mode on each node: a real API server, a real operator, simulated kubelets and agents."""

from __future__ import annotations

import pytest
from tests.apiserver.expect import is_ready, says, soon
from tests.apiserver.fleet import PROBE_IP, Fleet
from tests.apiserver.objects import CONFIGS, PODS, PROXIES, Api, Object, config
from tests.apiserver.test_operator_waves import ended, generations

from proxyconfig_api.objects import names

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("operator")]

NODES = ["n0", "n1"]


def probe_pods(api: Api) -> dict[str, Object]:
    """By node, those that are not ending."""
    found = [each for each in api.every(PODS) if each["metadata"].get("labels", {}).get("app.kubernetes.io/name") == names.PROBE]
    return {each["spec"]["nodeName"]: each for each in found if "deletionTimestamp" not in each["metadata"]}


def installed(api: Api, fleet: Fleet) -> None:
    """Two nodes with a mode; the pods that it has can run the other one."""
    fleet.join(*NODES)
    rollout = {"holdPeriod": "1s", "canary": {"nodes": 2}, "maxUnavailable": 2, "probes": {"pod": True}}
    api.apply(f"{CONFIGS}/x", config("x", mode="iptables", rollout=rollout))
    is_ready(api, "x", 2)
    ended(api, "Complete")


def test_nodes_are_ordered_another_mode_with_a_pod_that_probes_it_and_the_pods_go_afterwards(api: Api, fleet: Fleet) -> None:
    installed(api, fleet)
    assert probe_pods(api) == {}, "a first installation is not probed"
    fleet.unprobed.add("n1")
    before = generations(api, NODES)
    api.patch(f"{CONFIGS}/x", {"spec": {"mode": "nftables"}})

    seen = soon(lambda: probe_pods(api), until=lambda found: len(found) == 2)
    message = soon(lambda: api.have(f"{CONFIGS}/x")["status"]["rollout"]["message"], until=lambda words: "probe" in words)
    assert message == "2 nodes will change when the probe pods are ready"
    assert generations(api, NODES) == before, "the whole wave waits"
    fleet.unprobed.clear()
    soon(lambda: generations(api, NODES)[1] > before[1])
    order = api.have(f"{PROXIES}/n1")["spec"]["change"]["pod"]

    ended(api, "Complete")

    assert order == {"uid": seen["n1"]["metadata"]["uid"], "addresses": [PROBE_IP]}
    soon(lambda: probe_pods(api), until=lambda found: not found)


def test_a_pod_may_do_nothing_and_goes_with_its_proxyconfig(api: Api, fleet: Fleet) -> None:
    installed(api, fleet)
    fleet.unprobed.update(NODES)
    api.patch(f"{CONFIGS}/x", {"spec": {"mode": "nftables"}})

    pod = soon(lambda: probe_pods(api), until=lambda found: len(found) == 2)["n0"]

    assert (pod["metadata"]["name"], pod["spec"].get("hostNetwork", False)) == ("proxyconfig-probe-n0", False)
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "volumes" not in pod["spec"]
    assert [each["kind"] for each in pod["metadata"]["ownerReferences"]] == ["ProxyConfig"]


def test_a_change_that_is_taken_back_while_it_waits_leaves_no_pod(api: Api, fleet: Fleet) -> None:
    installed(api, fleet)
    fleet.unprobed.update(NODES)
    before = generations(api, NODES)
    api.patch(f"{CONFIGS}/x", {"spec": {"mode": "nftables"}})
    soon(lambda: probe_pods(api), until=lambda found: len(found) == 2)

    api.patch(f"{CONFIGS}/x", {"spec": {"mode": "iptables"}})

    soon(lambda: probe_pods(api), until=lambda found: not found)
    ended(api, "Complete")
    assert generations(api, NODES) == before
    says(api, "x", "Stalled", "False")
