"""`make deploy` finds the API server's address that nodes use, on a real API server."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.apiserver.objects import Api
from tests.cluster import binaries, kubectl
from tests.cluster.controlplane import ControlPlane
from tests.cluster.kubectl import Kubectl
from tests.cluster.network import SERVER_PORT
from tests.cluster.serveraddress import server_address
from tests.support.polling import eventually

pytestmark = pytest.mark.apiserver

CONFIGMAPS = "/api/v1/namespaces/kube-system/configmaps"


def kubeconfig(server: str) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "default", "cluster": {"server": server}}]})


@pytest.fixture
def run(plane: ControlPlane) -> Kubectl:
    return Kubectl(plane.program("kubectl"), plane.kubeconfig)


@pytest.mark.parametrize("key", ["kubeconfig.conf", "kubeconfig"])
def test_the_address_is_that_in_kube_proxys_configmap(api: Api, run: Kubectl, key: str) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "kube-proxy"},
        "data": {key: kubeconfig("https://cp.example:8443")},
    }
    api.create(CONFIGMAPS, body)
    try:
        found = server_address(run, {})
    finally:
        api.delete(f"{CONFIGMAPS}/kube-proxy")
    assert (found.host, found.port, found.source) == ("cp.example", 8443, "the ConfigMap kube-system/kube-proxy")


def test_without_configmaps_it_is_that_of_the_service_kubernetes(plane: ControlPlane, run: Kubectl) -> None:
    eventually(lambda: run.get("endpointslices", "default", "kubernetes"), within_s=60)
    found = server_address(run, {})
    assert (found.host, found.port, found.source) == (plane.host, SERVER_PORT, "the Service kubernetes")


def test_a_variable_overrides_what_the_cluster_says(run: Kubectl) -> None:
    assert server_address(run, {"API_SERVER": "192.0.2.10:6443"}).host == "192.0.2.10"


def test_the_kubectl_on_path_is_used_and_without_one_that_of_local_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "kubectl"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    built = binaries.ensure("kubernetes")["kubectl"]
    monkeypatch.setenv("PATH", "/nowhere")
    assert kubectl.on_path(tmp_path).program == built
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/nowhere")
    assert kubectl.on_path(tmp_path).program == own
