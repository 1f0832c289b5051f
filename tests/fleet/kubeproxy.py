"""The real kube-proxy as kubeadm runs it: a DaemonSet with its ConfigMap. The program is this machine's; the image has what it starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from tests.cluster import binaries
from tests.cluster.controlplane import POD_RANGES
from tests.cluster.product import Product, built
from tests.e2e.installed import Installed
from tests.fleet.fleet import NODES, Fleet
from tests.support.polling import eventually

NAME, NAMESPACE = "kube-proxy", "kube-system"
_LABELS = {"k8s-app": NAME}
_CONFIGURATION = Path(__file__).parents[1] / "support" / "kube-proxy" / "kubeadm.yaml"
_PROGRAMS = Product("kube-proxy-programs", "tests/fleet/Dockerfile.kube-proxy", ())
_MOUNTS = {"config": "/var/lib/kube-proxy", "program": "/opt/kube-proxy", "modules": "/lib/modules"}


def install(fleet: Fleet, mode: str) -> None:
    """Install it on all nodes in this mode, and wait until it is Ready everywhere."""
    programs = built(_PROGRAMS)
    fleet.local.load(programs.archive)
    fleet.product.apply(*_access(), _config_map(fleet, mode), _daemonset(programs.image))
    await_pods(fleet.product, NODES)


def uninstall(fleet: Fleet) -> None:
    """Delete the DaemonSet, and wait until its pods are gone. Its rules stay."""
    fleet.product.kubectl("-n", NAMESPACE, "delete", "daemonset", NAME, "--ignore-not-found", "--timeout=120s")
    await_pods(fleet.product, 0)


def await_pods(product: Installed, count: int) -> None:
    """Until exactly so many of its pods are there, and all of them Ready."""

    def ready() -> list[bool]:
        pods = product.objects("pods", NAMESPACE, labels=f"k8s-app={NAME}")
        return [all(each["ready"] for each in pod["status"].get("containerStatuses", [{"ready": False}])) for pod in pods]

    eventually(ready, within_s=300, every_s=0.5, until=[True].__mul__(count).__eq__)


def _config_map(fleet: Fleet, mode: str) -> dict[str, Any]:
    configuration = yaml.safe_load(_CONFIGURATION.read_text())
    # All nodes share this machine's limits of connection tracking: they are left as they are.
    configuration |= {"mode": mode, "clusterCIDR": POD_RANGES, "conntrack": {**configuration["conntrack"], "maxPerCore": 0, "min": 0}}
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    plane = fleet.local.plane
    server = {"certificate-authority": f"{account}/ca.crt", "server": f"https://{plane.host}:6443"}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "default", "cluster": server}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
        "current-context": "default",
        "users": [{"name": "default", "user": {"tokenFile": f"{account}/token"}}],
    }
    data = {"config.conf": yaml.safe_dump(configuration), "kubeconfig.conf": json.dumps(kubeconfig)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, "namespace": NAMESPACE}, "data": data}


def _access() -> list[dict[str, Any]]:
    api = "rbac.authorization.k8s.io"
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": NAMESPACE}},
        {
            "apiVersion": f"{api}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "kubeadm:node-proxier"},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": "system:node-proxier"},
            "subjects": [account],
        },
    ]


def _daemonset(image: str) -> dict[str, Any]:
    command = [f"{_MOUNTS['program']}/kube-proxy", "--config=/var/lib/kube-proxy/config.conf", "--hostname-override=$(NODE_NAME)"]
    container = {
        "name": NAME,
        "image": image,
        "command": command,
        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "securityContext": {"privileged": True, "runAsUser": 0},
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 10256}, "periodSeconds": 2},
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in _MOUNTS.items()],
    }
    program = binaries.ensure("kubernetes")["kube-proxy"].parent
    spec = {
        "hostNetwork": True,
        "serviceAccountName": NAME,
        "priorityClassName": "system-node-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 5,
        "containers": [container],
        "volumes": [
            {"name": "config", "configMap": {"name": NAME}},
            {"name": "program", "hostPath": {"path": str(program)}},
            {"name": "modules", "hostPath": {"path": "/lib/modules", "type": "DirectoryOrCreate"}},
        ],
    }
    template = {"metadata": {"labels": _LABELS}, "spec": spec}
    update = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": NODES}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": _LABELS},
        "spec": {"selector": {"matchLabels": _LABELS}, "template": template, "updateStrategy": update},
    }
