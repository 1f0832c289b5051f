"""The pod that probes a change: its manifest, and what is made of its state."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from tests.unit.operator.builders import config

from proxyconfig_api.objects import names
from proxyconfig_api.objects.nodeproxy import ProbePod
from proxyconfig_operator.decide.revisions import owner
from proxyconfig_operator.model.objects import Pod
from proxyconfig_operator.model.probe_pods import is_settled, manifest, name_of, report_of

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def made(**agent: Any) -> dict[str, Any]:
    each = config(agent=agent)
    return manifest("n1", each, owner(each), namespace="here", image="registry.test/agent:1")


def pod(*, ready: bool = False, waiting: str = "", phase: str = "Running", message: str = "", **metadata: Any) -> Pod:
    state = {"waiting": {"reason": waiting, "message": "no such image"}} if waiting else {"running": {}}
    status = {
        "phase": phase,
        "message": message,
        "podIPs": [{"ip": "10.244.0.9"}, {"ip": "fd00::9"}],
        "conditions": [{"type": "Ready", "status": str(ready)}],
        "containerStatuses": [{"name": names.PROBE, "ready": ready, "state": state}],
    }
    return msgspec.convert({"metadata": {"name": "proxyconfig-probe-n1", "uid": "u1"} | metadata, "status": status}, Pod)


def test_it_is_on_the_node_in_a_network_of_its_own_and_may_do_nothing() -> None:
    spec = made()["spec"]
    (container,) = spec["containers"]

    assert spec["nodeName"] == "n1"
    assert not {"hostNetwork", "hostPID", "volumes"} & spec.keys()
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_it_has_the_image_and_the_tolerations_of_the_agents() -> None:
    spec = made(imagePullPolicy="Never", imagePullSecrets=[{"name": "s"}], tolerations=[{"key": "a", "operator": "Exists"}])["spec"]
    assert (spec["containers"][0]["image"], spec["containers"][0]["imagePullPolicy"]) == ("registry.test/agent:1", "Never")
    assert spec["imagePullSecrets"] == ({"name": "s"},)
    assert spec["tolerations"] == ({"key": "a", "operator": "Exists"},)


def test_it_goes_with_its_proxyconfig_and_is_no_pod_of_the_agents() -> None:
    metadata = made()["metadata"]
    assert [(each["kind"], each["uid"]) for each in metadata["ownerReferences"]] == [("ProxyConfig", "uid-x")]
    assert metadata["labels"]["app.kubernetes.io/name"] == names.PROBE != names.AGENT
    assert metadata["labels"][names.CONFIG_LABEL] == "x"


@pytest.mark.parametrize("node", ["n1", "a" * 253, ("a" * 61 + ".") * 4 + "b", "a" * 223 + "." + "b" * 20, "a" * 235], ids=len)
def test_its_name_is_one_that_the_api_server_takes(node: str) -> None:
    assert len(name_of(node)) <= 253
    assert SUBDOMAIN.fullmatch(name_of(node))


def test_two_long_nodes_have_two_pods() -> None:
    assert name_of("a" * 250 + "b") != name_of("a" * 250 + "c")


def test_a_pod_that_is_ready_is_told_by_uid_and_addresses() -> None:
    assert report_of(pod(ready=True)) == ProbePod(uid="u1", addresses=("10.244.0.9", "fd00::9"))
    assert is_settled(pod(ready=True))


@pytest.mark.parametrize(
    ("found", "settled", "words"),
    [
        pytest.param(None, False, "there is no probe pod on this node", id="none"),
        pytest.param(pod(ready=True, deletionTimestamp="2026-01-01T00:00:00Z"), False, "there is no probe pod on this node", id="ending"),
        pytest.param(pod(), False, "the probe pod proxyconfig-probe-n1 was not ready within 60 s", id="starting"),
        pytest.param(
            pod(waiting="ErrImagePull"),
            True,
            "the probe pod proxyconfig-probe-n1 was not ready: container proxyconfig-probe: no such image",
            id="no-image",
        ),
        pytest.param(
            pod(phase="Failed", message="no room"), True, "the probe pod proxyconfig-probe-n1 was not ready: no room", id="failed"
        ),
    ],
)
def test_a_pod_that_does_not_answer_is_told_with_the_reason(found: Pod | None, settled: bool, words: str) -> None:
    assert report_of(found) == ProbePod(message=words)
    assert is_settled(found) is settled
