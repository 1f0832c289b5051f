"""`kubectl proxyconfig import` on a real API server, from the objects that clusters have."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.apiserver.objects import CONFIGS, NODES, REVISIONS, Api, Object, config, node
from tests.cluster.command import run
from tests.cluster.controlplane import ControlPlane

from proxyconfig_api.objects.names import CONFIG_LABEL
from proxyconfig_cli.app.main import main
from proxyconfig_cli.rollout.history import COMPONENT, COMPONENT_LABEL

pytestmark = pytest.mark.apiserver

MAPS, SETS = "/api/v1/namespaces/kube-system/configmaps", "/apis/apps/v1/namespaces/kube-system/daemonsets"
CONFIGURATIONS = sorted((Path(__file__).parents[1] / "support" / "kube-proxy").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _clean(api: Api) -> Iterator[None]:
    yield
    for path in (f"{MAPS}/kube-proxy", f"{MAPS}/kube-proxy-config", f"{SETS}/kube-proxy"):
        api.delete(path)


def imported(plane: ControlPlane, *words: str) -> Result:
    return CliRunner().invoke(main, ["import", "--kubeconfig", str(plane.kubeconfig), *words])


def config_map(api: Api, name: str, key: str, text: str) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {key: text}}
    api.create(MAPS, body)


def daemon_set(*words: str) -> Object:
    labels = {"k8s-app": "kube-proxy"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "kube-proxy", "image": "none", "command": list(words)}]}}
    spec = {"selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "kube-proxy"}, "spec": spec}


def revision(of: str, number: int, spec: Object) -> Object:
    metadata = {"name": f"{of}-{number}", "labels": {CONFIG_LABEL: of, COMPONENT_LABEL: COMPONENT}}
    return {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "revision": number, "data": {"spec": spec}}


@pytest.mark.parametrize("file", CONFIGURATIONS, ids=lambda file: file.stem)
@pytest.mark.parametrize("source", ["configmap", "eks"])
def test_the_api_server_takes_what_is_imported_from_a_config_map(plane: ControlPlane, api: Api, file: Path, source: str) -> None:
    config_map(api, *(("kube-proxy-config", "config") if source == "eks" else ("kube-proxy", "config.conf")), file.read_text())
    result = imported(plane, "--from", source, "--name", "imported")
    assert result.exit_code == 0, result.output
    api.apply(f"{CONFIGS}/imported", yaml.safe_load(result.stdout))
    spec = api.have(f"{CONFIGS}/imported")["spec"]
    assert spec["mode"] == (yaml.safe_load(file.read_text()).get("mode") or "iptables")


def test_the_flags_of_a_daemon_set_are_imported(plane: ControlPlane, api: Api) -> None:
    api.create(SETS, daemon_set("/bin/sh", "-c", "kube-proxy --proxy-mode=nftables --cluster-cidr=10.0.0.0/8 --oom-score-adj=-998"))
    result = imported(plane, "--from", "flags")
    assert yaml.safe_load(result.stdout)["spec"]["localTraffic"] == {"clusterCIDRs": ["10.0.0.0/8"]}
    assert result.stderr.startswith("oomScoreAdj (-998): not carried over")


def test_a_daemon_set_with_a_file_says_which_source_has_it(plane: ControlPlane, api: Api) -> None:
    api.create(SETS, daemon_set("/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf"))
    result = imported(plane, "--from", "flags")
    assert result.exit_code == 2
    assert "DaemonSet kube-system/kube-proxy names the configuration file /var/lib/kube-proxy/config.conf" in result.stderr


def test_kubectl_finds_the_plugin_and_its_completion(plane: ControlPlane) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    kubectl = plane.program("kubectl")
    printed = run(kubectl, "proxyconfig", "import", "--from", "flags", "--", "--proxy-mode=ipvs", env=environment)
    assert yaml.safe_load(printed)["spec"]["mode"] == "ipvs"
    completed = run(kubectl, "__complete", "proxyconfig", "rollout", "hist", env=environment)
    assert completed == "history\twhat there was before\n:4\n"


def test_kubectl_completes_names_of_the_cluster(plane: ControlPlane, api: Api) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "KUBECONFIG": str(plane.kubeconfig)}
    kubectl = plane.program("kubectl")
    for name in ("edge", "core"):
        api.apply(f"{CONFIGS}/{name}", config(name))
    for name in ("n1", "n2", "other"):
        api.create(NODES, node(name))
    for made in (revision("edge", 3, {}), revision("edge", 4, {"conntrack": {"min": 262144}}), revision("core", 5, {})):
        api.create(REVISIONS, made)

    def completed(*words: str) -> list[str]:
        *found, directive = run(kubectl, "__complete", "proxyconfig", *words, env=environment).splitlines()
        assert directive == ":4"
        return found

    assert completed("rollout", "status", "") == ["core", "edge"]
    assert completed("import", "--node", "n") == ["n1", "n2"]
    assert completed("rollout", "undo", "edge", "--to-revision", "") == ["3", "4\tconntrack.min"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "there is no ConfigMap kube-system/kube-proxy: name kube-proxy's with -n and --configmap"),
        (["--from", "eks"], "there is no ConfigMap kube-system/kube-proxy-config"),
        (["--from", "flags"], "there is no DaemonSet kube-system/kube-proxy: give kube-proxy's flags after --"),
        (["--from", "configz", "--configz-node", "n1"], "/configz of kube-proxy on n1 cannot be read through the API server"),
        (["--context", "nowhere"], "has no context 'nowhere'"),
    ],
)
def test_a_source_that_is_not_there_is_one_sentence(plane: ControlPlane, words: list[str], sentence: str) -> None:
    result = imported(plane, *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert sentence in result.stderr


def test_a_key_that_is_not_there_is_named_with_those_that_are(plane: ControlPlane, api: Api) -> None:
    config_map(api, "kube-proxy", "config", "mode: ipvs")
    result = imported(plane)
    assert "has no key config.conf, only config: name it with --key" in result.stderr
    assert imported(plane, "--key", "config").exit_code == 0
