"""What is not rolled out, and how that is said."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest
from tests.apiserver.expect import event, is_ready, says, soon
from tests.apiserver.fleet import Fleet
from tests.apiserver.forbidden import forbidden
from tests.apiserver.objects import CONFIGS, DAEMONSETS, PROXIES, PULL_ERROR, Api, config

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("operator")]


def test_while_paused_nodes_keep_their_revision_and_their_pods(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    revision = is_ready(api, "x", 1)["revision"]
    template = api.have(f"{DAEMONSETS}/proxyconfig-x")["metadata"]["generation"]
    api.patch(f"{CONFIGS}/x", {"spec": {"rollout": {"paused": True}}})
    says(api, "x", "Paused", "True")
    assert is_ready(api, "x", 1)["revision"] == revision

    api.patch(f"{CONFIGS}/x", {"spec": {"masquerade": {"all": True}, "agent": {"logLevel": "debug"}}})

    assert "set it to false to go on" in says(api, "x", "Ready", "False", "Paused")["message"]
    assert api.have(f"{PROXIES}/n1")["spec"]["revisionName"] == revision
    assert api.have(f"{DAEMONSETS}/proxyconfig-x")["metadata"]["generation"] == template
    api.patch(f"{CONFIGS}/x", {"spec": {"rollout": {"paused": False}}})
    assert is_ready(api, "x", 1)["revision"] != revision
    assert api.have(f"{DAEMONSETS}/proxyconfig-x")["metadata"]["generation"] > template


def test_a_node_that_joins_while_paused_gets_the_revision_of_the_others(api: Api, fleet: Fleet) -> None:
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    revision = is_ready(api, "x", 1)["revision"]
    api.patch(f"{CONFIGS}/x", {"spec": {"rollout": {"paused": True}, "masquerade": {"all": True}}})
    says(api, "x", "Ready", "False", "Paused")

    fleet.join("n2")

    soon(lambda: api.have(f"{PROXIES}/n2")["spec"]["revisionName"] == revision)


def test_an_image_that_does_not_exist_is_told_in_the_words_of_kubelet(api: Api, fleet: Fleet) -> None:
    fleet.missing_images.add("registry.test/agent:none")
    fleet.join("n1", "n2")
    api.apply(f"{CONFIGS}/x", config("x", agent={"image": "registry.test/agent:none"}))

    degraded = says(api, "x", "Degraded", "True", "NodesFailing")

    assert PULL_ERROR in degraded["message"]
    assert PULL_ERROR in says(api, "x", "Ready", "False", "NodesFailing")["message"]
    status = soon(lambda: api.have(f"{CONFIGS}/x")["status"], until=lambda seen: seen["nodes"]["failing"] == 2)
    assert [(each["node"], each["reason"]) for each in status["worstNodes"]] == [("n1", "ErrImagePull"), ("n2", "ErrImagePull")]
    assert event(api, "NodesFailing")["type"] == "Warning"
    api.patch(f"{CONFIGS}/x", {"spec": {"agent": {"image": "registry.test/agent:2"}}})
    is_ready(api, "x", 2)
    says(api, "x", "Degraded", "False")


def test_a_node_that_falls_silent_is_counted_and_named(api: Api, fleet: Fleet) -> None:
    fleet.join("n1", "n2")
    api.apply(f"{CONFIGS}/x", config("x"))
    is_ready(api, "x", 2)

    fleet.die("n2")

    ready = says(api, "x", "Ready", "False", "NodesUnreachable")
    assert ready["message"].endswith("n2: NodeStatusUnknown: Kubelet stopped posting node status.")
    assert api.have(f"{CONFIGS}/x")["status"]["nodes"]["unreachable"] == 1


def test_what_the_api_server_refuses_is_told_in_its_words(api: Api, fleet: Fleet) -> None:
    with forbidden_image(api, "registry.test/forbidden:1"):
        fleet.join("n1")
        api.apply(f"{CONFIGS}/x", config("x", agent={"image": "registry.test/forbidden:1"}))

        stalled = says(api, "x", "Stalled", "True", "WriteRefused")
        assert stalled["message"].startswith("the API server refuses DaemonSet proxyconfig-x: ")
        assert "not from our registry" in stalled["message"]
        assert api.names(PROXIES) == []
        api.patch(f"{CONFIGS}/x", {"spec": {"agent": {"image": "registry.test/agent:2"}}})
        is_ready(api, "x", 1)
        says(api, "x", "Stalled", "False")


def forbidden_image(api: Api, image: str) -> AbstractContextManager[None]:
    """Let the cluster's administrator forbid DaemonSets with an image."""
    labels = {"probe": "policy"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "probe", "image": image}]}}
    body = {"metadata": {"name": "probe"}, "spec": {"selector": {"matchLabels": labels}, "template": template}}
    check = f"object.spec.template.spec.containers[0].image != '{image}'"
    return forbidden(
        api,
        "apps",
        "daemonsets",
        unless=check,
        message="not from our registry",
        attempt=lambda: api.create(f"{DAEMONSETS}?dryRun=All", body),
    )
