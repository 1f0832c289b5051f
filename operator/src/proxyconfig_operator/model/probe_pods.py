"""The pod that probes a change on its node: how it is made, and what it says about itself. Pure.

It lives while its node changes. All of them have one Service, of manifests/base, behind which each finds itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects import names
from proxyconfig_api.objects.nodeproxy import ProbePod
from proxyconfig_api.objects.revision import HASH_LENGTH
from proxyconfig_operator.model.agent_pods import words_of
from proxyconfig_operator.model.objects import Config, Pod

SELECTOR = f"app.kubernetes.io/name={names.PROBE}"
"""Finds them all."""

START_S = 60.0
"""The longest time for which a change waits for it: the image is on the node, as the agent's is the same."""

NAME_LIMIT, MESSAGE_LIMIT = 253, 1000


def name_of(node: str) -> str:
    """Of the pod on a node; one that would be too long ends in a hash instead."""
    name = f"{names.PROBE}-{node}"
    if len(name) <= NAME_LIMIT:
        return name
    digest = hashlib.sha256(node.encode()).hexdigest()[:HASH_LENGTH]
    return f"{name[: NAME_LIMIT - 1 - HASH_LENGTH].rstrip('-.')}-{digest}"


def is_settled(pod: Pod | None) -> bool:
    """Whether there is no use in waiting for it: it answers, or it will not."""
    if pod is None or pod.ending:
        return False
    words = words_of(pod)
    return words is None or words.trouble


def report_of(pod: Pod | None) -> ProbePod:
    """For the agent, which asks it: where it is, or why it is not there."""
    if pod is None or pod.ending:
        return ProbePod(message="there is no probe pod on this node")
    words = words_of(pod)
    if words is None:
        return ProbePod(uid=pod.metadata.uid, addresses=tuple(each.ip for each in pod.status.pod_ips or ()))
    why = f": {words.message}" if words.trouble else f" within {START_S:g} s"
    return ProbePod(message=f"the probe pod {pod.metadata.name} was not ready{why}"[:MESSAGE_LIMIT])


def manifest(node: str, config: Config, owner: Mapping[str, Any], *, namespace: str, image: str) -> dict[str, Any]:
    """The pod on a node. `owner` is the reference to `config`; `image` that of the agents."""
    labels = {"app.kubernetes.io/name": names.PROBE, "app.kubernetes.io/managed-by": names.OPERATOR, names.CONFIG_LABEL: config.name}
    agent = config.spec.agent
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name_of(node), "namespace": namespace, "labels": labels, "ownerReferences": [dict(owner)]},
        "spec": {
            "nodeName": node,
            "serviceAccountName": names.PROBE,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "dnsPolicy": "Default",
            "terminationGracePeriodSeconds": 1,
            "imagePullSecrets": codec.builtins(agent.image_pull_secrets),
            "tolerations": codec.builtins(agent.tolerations),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(image, agent.image_pull_policy)],
        },
    }


def _container(image: str, pull_policy: str) -> dict[str, Any]:
    return {
        "name": names.PROBE,
        "image": image,
        "imagePullPolicy": str(pull_policy),
        "command": ["python3", "-m", "proxyconfig_agent.checks.probes.pod"],
        "env": [{"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
        "ports": [{"name": "http", "containerPort": names.PROBE_PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
