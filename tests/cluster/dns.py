"""CoreDNS and the usual kube-dns Service, as objects to apply. Its pods are ready once a proxy lets them reach the API server's Service."""

from __future__ import annotations

from typing import Any

from tests.cluster.controlplane import DNS_ADDRESS
from tests.cluster.images import DNS

_NAME = {"name": "coredns", "namespace": "kube-system"}
_LABELS = {"k8s-app": "kube-dns"}
_CONFIGURATION = """\
.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        ttl 5
    }
    cache 5
}
"""


def objects(replicas: int) -> list[dict[str, Any]]:
    """Return everything that cluster DNS is made of."""
    return [*_access(), _configuration(), _deployment(replicas), _service()]


def _access() -> list[dict[str, Any]]:
    role = "system:coredns"
    rules = [
        {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    api = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _NAME},
        {"apiVersion": f"{api}/v1", "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": role},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": role},
            "subjects": [{"kind": "ServiceAccount", **_NAME}],
        },
    ]


def _configuration() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _NAME, "data": {"Corefile": _CONFIGURATION}}


def _deployment(replicas: int) -> dict[str, Any]:
    container = {
        "name": "coredns",
        "image": DNS,
        "command": ["/coredns", "-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 2},
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/coredns"}],
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _LABELS},
    }
    pod = {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "priorityClassName": "system-cluster-critical",
        "topologySpreadConstraints": [spread],
        "containers": [container],
        "volumes": [{"name": "configuration", "configMap": {"name": "coredns"}}],
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": _LABELS}, "template": {"metadata": {"labels": _LABELS}, "spec": pod}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {**_NAME, "labels": _LABELS}, "spec": spec}


def _service() -> dict[str, Any]:
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    spec = {"clusterIP": DNS_ADDRESS, "ipFamilyPolicy": "PreferDualStack", "selector": _LABELS, "ports": ports}
    labels = {**_LABELS, "kubernetes.io/name": "CoreDNS", "kubernetes.io/cluster-service": "true"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
        "spec": spec,
    }
