"""The agents' DaemonSet: as text that people can read, and as something the API server gives back with its defaults.

The files in `golden/` are what is rendered; `UPDATE_GOLDEN=1 pytest …` writes them anew.
"""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.operator.builders import INSTALLATION, config

from proxyconfig_api.objects import names
from proxyconfig_operator.decide.agent_daemonset import differs, pod_revision_of, render
from proxyconfig_operator.model.objects import Config, DaemonSet

GOLDEN = Path(__file__).parent / "golden"
FULL = config(
    "edge",
    agent={
        "image": "registry.test/special:2",
        "imagePullPolicy": "Always",
        "imagePullSecrets": [{"name": "registry"}],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "edge", "effect": "NoSchedule"}],
        "logLevel": "debug",
        "logFormat": "text",
        "healthzBindAddress": "192.0.2.7:10256",
        "metricsBindAddress": "",
    },
)


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - of the base class
        return True


@pytest.mark.parametrize(("each", "file"), [(config("x"), "default.yaml"), (FULL, "full.yaml")], ids=["default", "full"])
def test_it_is_rendered_as_written_down(each: Config, file: str) -> None:
    rendered = yaml.dump(render(each, INSTALLATION), Dumper=_Plain, sort_keys=False, width=140)
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / file).write_text(rendered)

    assert rendered == (GOLDEN / file).read_text()


def test_without_a_healthz_address_there_are_no_probes() -> None:
    container = agent_of(render(config(agent={"healthzBindAddress": ""}), INSTALLATION))

    assert not {"livenessProbe", "readinessProbe"} & container.keys()


def test_what_it_needs_is_named_and_nothing_else() -> None:
    container = agent_of(render(config(), INSTALLATION))

    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "privileged" not in container["securityContext"]


def test_iptables_mode_shares_the_lock_of_the_host_and_may_open_raw_sockets() -> None:
    rendered = render(config(mode="iptables"), INSTALLATION)
    container = agent_of(rendered)

    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}
    assert {"name": "xtables-lock", "mountPath": "/run/xtables.lock"} in container["volumeMounts"]
    volumes = rendered["spec"]["template"]["spec"]["volumes"]
    assert {"name": "xtables-lock", "hostPath": {"path": "/run/xtables.lock", "type": "FileOrCreate"}} in volumes


def test_a_pod_that_observes_in_nftables_mode_may_open_raw_sockets() -> None:
    container = agent_of(render(config(takeover="Observe"), INSTALLATION))

    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}
    assert container["volumeMounts"] == agent_of(render(config(), INSTALLATION))["volumeMounts"]


@given(st.text(min_size=1).filter(str.isprintable))
def test_no_value_can_become_structure(image: str) -> None:
    plain_one = config()
    agent = msgspec.structs.replace(plain_one.spec.agent, image=image)  # no parser in the way
    odd_one = msgspec.structs.replace(plain_one, spec=msgspec.structs.replace(plain_one.spec, agent=agent))

    rendered = render(odd_one, INSTALLATION)

    assert agent_of(rendered)["image"] == image
    plain = render(plain_one, INSTALLATION)
    for each in (*agents_of(rendered), *agents_of(plain)):
        del each["image"]
    for manifest in (rendered, plain):
        del manifest["spec"]["template"]["metadata"]["labels"][names.POD_REVISION_LABEL]
    assert rendered == plain


def test_defaults_of_the_api_server_are_no_difference() -> None:
    assert not differs(render(FULL, INSTALLATION), stored(FULL))
    assert differs(render(FULL, INSTALLATION), None)


@pytest.mark.parametrize(
    "path",
    [("template", "spec", "hostNetwork"), ("template", "spec", "tolerations"), ("template", "metadata", "labels"), ("updateStrategy",)],
    ids=lambda path: path[-1],
)
def test_whatever_somebody_takes_away_is_a_difference(path: tuple[str, ...]) -> None:
    there = stored(FULL)
    parent: Any = there.spec
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]

    assert differs(render(FULL, INSTALLATION), there)


def test_whatever_somebody_adds_to_a_list_of_ours_is_a_difference() -> None:
    there = stored(FULL)
    there.spec["template"]["spec"]["tolerations"].append({"operator": "Exists"})

    assert differs(render(FULL, INSTALLATION), there)


@pytest.mark.parametrize(
    "spec",
    [
        {"agent": {"image": "b"}},
        {"agent": {"resources": {"limits": {"memory": "1Gi"}}}},
        {"mode": "iptables"},
        {"kernel": {"modules": ["a"]}},
        {"takeover": "Observe"},
    ],
    ids=["image", "resources", "mounts", "arguments", "capabilities"],
)
def test_whatever_pods_are_made_of_makes_another_revision_of_them(spec: dict[str, Any]) -> None:
    assert pod_revision_of(render(config(**spec), INSTALLATION)) != pod_revision_of(render(config(), INSTALLATION))


def test_what_pods_are_not_made_of_makes_no_revision_of_them() -> None:
    other = config(conntrack={"min": 1}, rollout={"maxUnavailable": 3}, nodeSelector={"matchLabels": {"a": "b"}})

    assert pod_revision_of(render(other, INSTALLATION)) == pod_revision_of(render(config(), INSTALLATION))


def test_another_image_is_a_difference() -> None:
    assert differs(render(config(agent={"image": "b"}), INSTALLATION), stored(config(agent={"image": "a"})))


def stored(each: Config) -> DaemonSet:
    """What the API server makes of it: defaults added, what is empty left out."""
    manifest = copy.deepcopy(render(each, INSTALLATION))
    manifest["spec"] |= {"revisionHistoryLimit": 10}
    pod = manifest["spec"]["template"]["spec"]
    pod |= {"restartPolicy": "Always", "schedulerName": "default-scheduler"}
    if not pod["imagePullSecrets"]:
        del pod["imagePullSecrets"]
    for container in agents_of(manifest):
        container |= {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
        container["resources"] = {key: value for key, value in container["resources"].items() if value}
    return msgspec.convert(manifest, DaemonSet)


def agents_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    pod = manifest["spec"]["template"]["spec"]
    return [*pod["initContainers"], *pod["containers"]]


def agent_of(manifest: dict[str, Any]) -> dict[str, Any]:
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    found: dict[str, Any] = container
    return found
