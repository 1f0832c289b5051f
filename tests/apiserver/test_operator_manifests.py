"""The operator's manifests: what an API server takes, and what a cluster of one node needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.apiserver.objects import Api
from tests.cluster.controlplane import ControlPlane

from proxyconfig_api.objects import names

pytestmark = pytest.mark.apiserver

MANIFESTS = Path(__file__).parents[2] / "manifests"
Object = dict[str, Any]


def test_one_operator_at_least_outlives_a_drain(api: Api) -> None:
    budget = api.have(f"/apis/policy/v1/namespaces/{names.NAMESPACE}/poddisruptionbudgets/{names.OPERATOR}")
    deployment = api.have(f"/apis/apps/v1/namespaces/{names.NAMESPACE}/deployments/{names.OPERATOR}")

    assert budget["spec"]["minAvailable"] == 1 < deployment["spec"]["replicas"]
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]


def test_pods_of_the_priority_that_ours_have_are_within_a_quota(api: Api) -> None:
    quota = api.have(f"/api/v1/namespaces/{names.NAMESPACE}/resourcequotas/critical-pods")
    deployment = api.have(f"/apis/apps/v1/namespaces/{names.NAMESPACE}/deployments/{names.OPERATOR}")

    (scope,) = quota["spec"]["scopeSelector"]["matchExpressions"]
    assert scope["scopeName"] == "PriorityClass"
    assert {deployment["spec"]["template"]["spec"]["priorityClassName"], "system-node-critical"} == set(scope["values"])


def test_a_cluster_of_one_node_gets_one_operator_that_can_be_drained(plane: ControlPlane, tmp_path: Path) -> None:
    component = os.path.relpath(MANIFESTS / "components" / "single-node", tmp_path)
    base = os.path.relpath(MANIFESTS / "base", tmp_path)
    overlay = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [base], "components": [component]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))

    found: list[Object] = list(yaml.safe_load_all(plane.kubectl("kustomize", str(tmp_path))))

    (deployment,) = [each for each in found if each["kind"] == "Deployment"]
    assert deployment["spec"]["replicas"] == 1
    assert "PodDisruptionBudget" not in {each["kind"] for each in found}
    plane.kubectl("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", str(tmp_path))
