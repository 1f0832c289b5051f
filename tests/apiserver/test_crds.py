"""The CRDs on a real API server: what it refuses and how, what it fills in, what kubectl shows."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from tests.apiserver.objects import CONFIGS, PROXIES, Api, Object
from tests.cluster import cluster, images
from tests.cluster.controlplane import ControlPlane
from tests.unit.api.crds.refusals import ACCEPTED, NAME, REFUSALS, SERVER_ONLY, Refusal
from tests.unit.api.status.kstatus import kstatus

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.names import API_VERSION
from proxyconfig_api.spec.sections import ProxyConfigSpec

pytestmark = pytest.mark.apiserver

SAMPLES = cluster.ROOT / "manifests" / "samples"
LOCAL_WEB = cluster.ROOT / "tests" / "cluster" / "samples" / "web"
PUBLIC = ("image: registry", "args:", "netexec", "http-port", "udp-port", "delay-shutdown")
"""How the lines begin that the public image needs."""
DRY = "?dryRun=All&fieldValidation=Strict"


def config(spec: Object, name: str = NAME) -> Object:
    return {"apiVersion": API_VERSION, "kind": "ProxyConfig", "metadata": {"name": name}, "spec": spec}


def node_proxy(name: str) -> Object:
    spec = {"configName": NAME, "revisionName": "example-1"}
    return {"apiVersion": API_VERSION, "kind": "NodeProxy", "metadata": {"name": name}, "spec": spec}


def answer(api: Api, body: Object) -> str:
    """What the server says to an object that it refuses."""
    with pytest.raises(AssertionError) as caught:
        api.create(f"{CONFIGS}{DRY}", body)
    return str(caught.value).replace("\\", "")


@pytest.mark.parametrize("refusal", [*REFUSALS, *SERVER_ONLY])
def test_what_contradicts_itself_is_refused_with_field_and_fix(api: Api, refusal: Refusal) -> None:
    said = answer(api, config(refusal.spec))
    assert refusal.field in said
    assert refusal.says in said


@pytest.mark.parametrize("spec", ACCEPTED)
def test_what_makes_sense_is_accepted_and_means_the_same_to_the_parser(api: Api, spec: dict[str, Any]) -> None:
    stored = api.create(f"{CONFIGS}{DRY}", config(spec))
    assert codec.decode(stored["spec"], ProxyConfigSpec) == codec.decode(spec, ProxyConfigSpec)


def test_a_name_that_leaves_no_room_for_a_hash_is_refused(api: Api) -> None:
    assert "metadata.name: must be at most 52 characters: names of other objects are made from it" in answer(api, config({}, "a" * 53))
    api.create(f"{CONFIGS}{DRY}", config({}, "a" * 52))


def test_a_misspelt_field_is_refused(api: Api) -> None:
    assert 'unknown field "spec.conntrak"' in answer(api, config({"conntrak": {}}))


def test_a_spec_is_needed(api: Api) -> None:
    body = config({})
    del body["spec"]
    assert "spec: Required value" in answer(api, body)


def test_the_defaults_land_in_the_object(api: Api) -> None:
    assert api.create(f"{CONFIGS}{DRY}", config({}))["spec"] == {
        "mode": "nftables",
        "drainPeriod": "1h",
        "priority": 0,
        "takeover": "Wait",
        "removalPolicy": "Remove",
        "rollout": {
            "paused": False,
            "canary": {},
            "maxUnavailable": "10%",
            "topologyKey": "",
            "holdPeriod": "10s",
            "progressDeadline": "10m",
            "maxFailures": 0,
            "onFailure": "Rollback",
            "probes": {"apiServer": True, "dns": True, "pod": False, "timeoutSeconds": 1},
            "revisionHistoryLimit": 10,
        },
        "conntrack": {
            "maxPerCore": 32768,
            "min": 131072,
            "tcpEstablishedTimeout": "24h",
            "tcpCloseWaitTimeout": "1h",
            "tcpBeLiberal": False,
            "udpTimeout": "0s",
            "udpStreamTimeout": "0s",
        },
        "masquerade": {"all": False, "bit": 14},
        "sync": {"minSyncPeriod": "0s", "fullSyncPeriod": "1h", "driftCheckPeriod": "1s"},
        "agent": {
            "imagePullPolicy": "IfNotPresent",
            "logLevel": "info",
            "logFormat": "json",
            "healthzBindAddress": ":10256",
            "metricsBindAddress": "127.0.0.1:10249",
            "resources": {"requests": {"cpu": "20m", "memory": "96Mi"}},
            "tolerations": [{"operator": "Exists"}],
        },
    }


def test_a_status_is_not_taken_from_the_object_and_a_spec_not_from_the_status(api: Api) -> None:
    api.create(CONFIGS, config({}) | {"status": {"summary": "9/9"}})
    assert api.have(f"{CONFIGS}/{NAME}")["status"] == {"observedGeneration": -1}
    patched = api.patch(f"{CONFIGS}/{NAME}/status", {"spec": {"priority": 9}, "status": {"summary": "1/2"}})
    assert (patched["spec"]["priority"], patched["status"]["summary"], patched["metadata"]["generation"]) == (0, "1/2", 1)


def test_a_new_object_is_in_progress_until_its_controller_has_seen_it(api: Api) -> None:
    api.create(CONFIGS, config({}))
    api.create(PROXIES, node_proxy("n1"))
    assert kstatus(api.have(f"{CONFIGS}/{NAME}")) == "InProgress"
    assert kstatus(api.have(f"{PROXIES}/n1")) == "InProgress"


def test_what_a_controller_applies_replaces_the_default_of_the_status(api: Api) -> None:
    api.create(CONFIGS, config({}))
    body = {"apiVersion": API_VERSION, "kind": "ProxyConfig", "metadata": {"name": NAME}, "status": STATUS}
    assert api.apply(f"{CONFIGS}/{NAME}/status", body, "operator")["status"] == STATUS
    assert kstatus(api.have(f"{CONFIGS}/{NAME}")) == "InProgress"  # Ready is False


@pytest.mark.parametrize("later", [{"nftables": 3}, {"userspace": 1}, None])
def test_a_mode_that_no_node_runs_any_more_leaves_the_count(api: Api, later: dict[str, int] | None) -> None:
    api.create(CONFIGS, config({}))
    body = {"apiVersion": API_VERSION, "kind": "ProxyConfig", "metadata": {"name": NAME}}
    for modes in ({"nftables": 2, "iptables": 1}, later):
        status = {key: value for key, value in (STATUS | {"modes": modes}).items() if value is not None}
        assert api.apply(f"{CONFIGS}/{NAME}/status", body | {"status": status}, "operator")["status"].get("modes") == modes


STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "revision": "example-44136fa355",
    "summary": "1/2",
    "nodes": {"desired": 2, "updated": 2, "ready": 1, "failing": 1, "unreachable": 0, "overlapping": 3},
    "rollout": {"revision": "example-44136fa355", "previousRevision": "example-1", "phase": "Progressing", "wave": 2, "waves": 11},
    "modes": {"nftables": 2},
    "modeSummary": "nftables: 2",
    "worstNodes": [{"node": "n2", "reason": "ModuleMissing", "message": "nft_numgen"}],
    "conditions": [
        {
            "type": "Ready",
            "status": "False",
            "reason": "NodesFailing",
            "message": "n2: nft_numgen",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
    ],
}


def test_columns_tell_whether_it_is_rolled_out_and_works(api: Api, plane: ControlPlane) -> None:
    api.create(CONFIGS, config({}))
    api.patch(f"{CONFIGS}/{NAME}/status", {"status": STATUS})
    head, row = plane.kubectl("get", "kpx").splitlines()
    assert head.split() == ["NAME", "MODE", "DESIRED", "UPDATED", "READY", "FAILING", "STATUS", "ROLLOUT", "MODES", "AGE"]
    assert row.split()[:-1] == [NAME, "nftables", "2", "2", "1/2", "1", "NodesFailing", "Progressing", "nftables:", "2"]
    head, row = plane.kubectl("get", "proxyconfigs.proxyconfig.dev", "-o", "wide").splitlines()
    assert head.split()[10:] == ["UNREACHABLE", "OVERLAPPING", "WAVE", "WAVES", "PRIORITY", "PAUSED", "REVISION", "MESSAGE"]
    assert row.split()[11:] == ["0", "3", "2", "11", "0", "false", "example-44136fa355", "n2:", "nft_numgen"]


def test_columns_of_a_node_tell_what_runs_there(api: Api, plane: ControlPlane) -> None:
    assert api.create(PROXIES, node_proxy("n1"))["spec"]["action"] == "Apply"
    ready = STATUS["conditions"][0] | {"status": "True", "reason": "Programmed", "message": ""}
    status = {"mode": {"desired": "auto", "effective": "nftables"}, "observedRevision": "example-1", "services": 7, "conditions": [ready]}
    status |= {
        "modules": {"summary": "12 built in, 1 missing", "items": [{"name": "ip_vs", "state": "Missing", "message": "CONFIG_IP_VS"}]}
    }
    api.patch(f"{PROXIES}/n1/status", {"status": status})
    head, row = plane.kubectl("get", "npx").splitlines()
    assert head.split() == ["NAME", "CONFIG", "MODE", "REVISION", "SERVICES", "READY", "REASON", "AGE"]
    assert row.split()[:-1] == ["n1", NAME, "nftables", "example-1", "7", "True", "Programmed"]
    wide = plane.kubectl("get", "npx", "-o", "wide")
    assert "MODULES" in wide
    assert "12 built in, 1 missing" in wide


def test_the_category_lists_both_kinds_and_fields_select(api: Api, plane: ControlPlane) -> None:
    api.create(CONFIGS, config({}))
    api.create(CONFIGS, config({"mode": "auto"}, "other"))
    api.create(PROXIES, node_proxy("n1"))
    assert plane.kubectl("get", "proxyconfig-dev", "-o", "name").split() == [
        "nodeproxy.proxyconfig.dev/n1",
        f"proxyconfig.proxyconfig.dev/{NAME}",
        "proxyconfig.proxyconfig.dev/other",
    ]
    assert plane.kubectl("get", "kpx", "--field-selector", "spec.mode=auto", "-o", "name").split() == ["proxyconfig.proxyconfig.dev/other"]


@pytest.mark.parametrize("word", ["kpx", "proxyconfig", "proxyconfigs", "proxyconfigs.proxyconfig.dev"])
def test_every_name_of_a_kind_finds_its_object_alone(api: Api, plane: ControlPlane, word: str) -> None:
    api.create(CONFIGS, config({}))
    assert plane.kubectl("get", word, NAME, "-o", "name").split() == [f"proxyconfig.proxyconfig.dev/{NAME}"]


def test_kubectl_explain_tells_default_and_what_a_change_does(plane: ControlPlane) -> None:
    said = plane.kubectl("explain", "proxyconfigs.proxyconfig.dev.spec.conntrack.min")
    assert "Default: 131072. Change: applied live, no restart." in " ".join(said.split())
    assert "Change: restarts the agents" in plane.kubectl("explain", "kpx.spec.agent.image")


def wait_for_ready(plane: ControlPlane, timeout: str) -> list[str]:
    kubectl, kubeconfig = str(plane.program("kubectl")), str(plane.kubeconfig)
    return [kubectl, "--kubeconfig", kubeconfig, "wait", "--for=condition=Ready", f"kpx/{NAME}", f"--timeout={timeout}"]


def test_kubectl_waits_for_ready(api: Api, plane: ControlPlane) -> None:
    api.create(CONFIGS, config({}))
    with subprocess.Popen(wait_for_ready(plane, "30s"), stdout=subprocess.PIPE, text=True) as waiting:
        ready = STATUS["conditions"][0] | {"status": "True", "reason": "AllNodesReady"}
        api.patch(f"{CONFIGS}/{NAME}/status", {"status": STATUS | {"conditions": [ready]}})
        said, _ = waiting.communicate(timeout=60)
    assert said == f"proxyconfig.proxyconfig.dev/{NAME} condition met\n"


def test_a_ready_condition_of_an_older_spec_does_not_count(api: Api, plane: ControlPlane) -> None:
    api.create(CONFIGS, config({}))
    ready = STATUS["conditions"][0] | {"status": "True", "reason": "AllNodesReady"}
    api.patch(f"{CONFIGS}/{NAME}/status", {"status": STATUS | {"conditions": [ready]}})
    api.patch(f"{CONFIGS}/{NAME}", {"spec": {"conntrack": {"min": 1}}})
    waited = subprocess.run(wait_for_ready(plane, "1s"), capture_output=True, text=True, check=False, timeout=60)
    assert waited.returncode == 1
    assert "timed out waiting" in waited.stderr


def test_appliers_of_different_conditions_do_not_disturb_each_other(api: Api) -> None:
    api.create(CONFIGS, config({}))
    one, other = ({"type": kind, **{k: v for k, v in STATUS["conditions"][0].items() if k != "type"}} for kind in ("Ready", "Other"))
    for manager, condition in (("a", one), ("b", other)):
        body = {"apiVersion": API_VERSION, "kind": "ProxyConfig", "metadata": {"name": NAME}, "status": {"conditions": [condition]}}
        merged = api.apply(f"{CONFIGS}/{NAME}/status", body, manager)
    assert [each["type"] for each in merged["status"]["conditions"]] == ["Ready", "Other"]


def test_the_crds_are_small_enough_for_client_side_apply(plane: ControlPlane) -> None:
    for name in ("proxyconfigs", "nodeproxies"):
        crd = json.loads(plane.kubectl("get", "crd", f"{name}.proxyconfig.dev", "-o", "json"))
        assert len(json.dumps(crd["spec"])) < 200_000


def test_the_samples_are_accepted(api: Api, plane: ControlPlane) -> None:  # noqa: ARG001 - cleans up
    said = plane.kubectl("apply", "--server-side", "--dry-run=server", "-f", str(SAMPLES))
    assert said.count("serverside-applied (server dry run)") == len(list(SAMPLES.glob("*.yaml"))) + 1  # pools are two
    plane.kubectl("apply", "--server-side", "--dry-run=server", "-k", str(SAMPLES / "web"))


def test_the_local_clusters_web_sample_is_the_sample_with_an_image_of_its_own(plane: ControlPlane) -> None:
    local, public = (plane.kubectl("kustomize", str(folder)) for folder in (LOCAL_WEB, SAMPLES / "web"))
    changed = {line.strip(" -") for line in local.splitlines()} ^ {line.strip(" -") for line in public.splitlines()}
    assert changed == {f"image: {images.WEB}", *(line for line in changed if line.startswith(PUBLIC))}
