"""What keeps kube-proxy off nodes with an agent, and whose DaemonSet is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_cli.takeover import affinity

ZONE = {"key": "zone", "operator": "In", "values": ["a"]}
ARCH = {"key": "arch", "operator": "Exists"}


def daemonset(*terms: list[dict[str, Any]]) -> dict[str, Any]:
    required = {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
    spec = {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}} if terms else {}
    return {"spec": {"template": {"spec": spec}}}


@pytest.mark.parametrize("before", [daemonset(), daemonset([ZONE]), daemonset([ZONE], [ARCH])], ids=["none", "one", "alternatives"])
def test_the_patch_adds_the_expression_to_every_alternative(before: dict[str, Any]) -> None:
    assert not affinity.is_there(before)
    assert affinity.is_there(affinity.patch(before))


def test_one_alternative_with_the_expression_is_not_enough() -> None:
    assert not affinity.is_there(daemonset([affinity.EXPRESSION], [ZONE]))


@pytest.mark.parametrize(
    ("metadata", "owner"),
    [
        ({"labels": {"k8s-app": "kube-proxy"}}, ""),
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "Helm"),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "Argo CD"),
        ({"labels": {"addonmanager.kubernetes.io/mode": "Reconcile"}}, "the addon manager"),
        ({"ownerReferences": [{"apiVersion": "v1", "kind": "Addon", "name": "kp", "uid": "u"}]}, "Addon kp"),
    ],
)
def test_who_writes_a_daemonset_is_told_by_its_marks(metadata: dict[str, Any], owner: str) -> None:
    assert affinity.owner(codec.decode({"name": "kube-proxy", **metadata}, Metadata)) == owner
