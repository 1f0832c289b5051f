"""Putting the product into a cluster: `manifests/` with this cluster's images and the API server's real address.

With KUBECONFIG set this is any cluster, and the images come from IMAGE_PREFIX; else, or if it is a local one, images are built and loaded.
The API server's address is the one that nodes use (serveraddress.py); API_SERVER=HOST:PORT overrides it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import cluster, kubectl, product
from tests.cluster.errors import ClusterError, CommandError
from tests.cluster.kubectl import Kubectl
from tests.cluster.progress import say
from tests.cluster.serveraddress import VARIABLE, ServerAddress, server_address

BASE = cluster.ROOT / "manifests" / "base"
SINGLE_NODE = cluster.ROOT / "manifests" / "components" / "single-node"
NAMESPACE = "proxyconfig-system"
READY_WITHIN_S = 180


@dataclass(frozen=True, slots=True)
class Target:
    """The cluster to deploy to, and where its nodes find the two images."""

    kubeconfig: Path
    operator: str
    agent: str


def target(environment: Mapping[str, str] = os.environ) -> Target:
    """Return where to deploy, from KUBECONFIG, IMAGE_PREFIX and IMAGE_TAG; for a local cluster with images that were just built and loaded.

    Raises ClusterError if there is no cluster, or no images for it.
    """
    return given(environment) or _target(cluster.CLUSTERS / "kubeconfig", environment)


def given(environment: Mapping[str, str] = os.environ) -> Target | None:
    """Return the target that KUBECONFIG names; None if it is not set.

    Raises ClusterError if there are no images for it.
    """
    chosen = environment.get("KUBECONFIG")
    return _target(Path(chosen).absolute(), environment) if chosen else None


def _target(kubeconfig: Path, environment: Mapping[str, str]) -> Target:
    if not kubeconfig.is_file():
        raise ClusterError(f"{kubeconfig} does not exist. `make cluster` starts a local cluster; KUBECONFIG names another one.")
    if prefix := environment.get("IMAGE_PREFIX"):
        tag = environment.get("IMAGE_TAG") or "latest"
        return Target(kubeconfig, f"{prefix}{product.OPERATOR.name}:{tag}", f"{prefix}{product.AGENT.name}:{tag}")
    local = cluster.of_kubeconfig(kubeconfig)
    if local is None:
        raise ClusterError("IMAGE_PREFIX is not set: say where this cluster's nodes pull the images from, such as registry.example/team/.")
    return load(local)


def load(local: cluster.Cluster) -> Target:
    """Build both images as the sources are now, and import them into a local cluster's nodes."""
    operator, agent = (product.built(each) for each in (product.OPERATOR, product.AGENT))
    for built in (operator, agent):
        say(f"loading {built.image} into {len(local.nodes)} nodes")
        local.load(built.archive)
    return Target(local.kubeconfig, operator.image, agent.image)


def apply(where: Target, environment: Mapping[str, str] = os.environ) -> None:
    """Apply the manifests and wait until the operator runs.

    Raises CommandError with kubectl's words, ClusterError if the API server's address is not known.
    """
    run = kubectl.on_path(where.kubeconfig)
    address = server_address(run, environment)
    say(f"API server for operator and agents: {address.host}:{address.port}, from {address.source} ({VARIABLE}=HOST:PORT overrides it)")
    with tempfile.TemporaryDirectory(prefix="proxyconfig-deploy-") as folder:
        components = [SINGLE_NODE] if is_single_node(run) else []
        made = json.dumps(overlay(where, Path(folder).resolve(), address, components), indent=1)
        Path(folder, "kustomization.yaml").write_text(made)
        say(f"applying manifests: operator {where.operator}, agents {where.agent}")
        print(run("apply", "--server-side", "--force-conflicts", "-k", folder), end="")
    established = ("crd/proxyconfigs.proxyconfig.dev", "crd/nodeproxies.proxyconfig.dev")
    run("wait", "--for=condition=Established", *established, "--timeout=60s")
    _wait_for_operator(run)


def is_single_node(run: Kubectl) -> bool:
    """Whether the cluster has one node: a second operator would wait for another one for ever. Raises CommandError."""
    return len(run("get", "nodes", "-o", "name").split()) == 1


def _wait_for_operator(run: Kubectl) -> None:
    available = ("--namespace", NAMESPACE, "wait", "--for=condition=Available", "deployment/proxyconfig-operator")
    try:
        run(*available, f"--timeout={READY_WITHIN_S}s", timeout_s=READY_WITHIN_S + 30)
    except CommandError as error:
        seen = run("--namespace", NAMESPACE, "get", "pods", "-o", "wide")
        log = run("--namespace", NAMESPACE, "logs", "deployment/proxyconfig-operator", "--tail=15", "--ignore-errors")
        advice = f"`kubectl --namespace {NAMESPACE} describe pods` shows why a pod does not start."
        raise ClusterError(
            f"the operator is not available within {READY_WITHIN_S} s. Its pods:\n{seen}Its last lines:\n{log}{advice}"
        ) from error


def overlay(where: Target, folder: Path, address: ServerAddress, components: Sequence[Path]) -> Mapping[str, Any]:
    """A kustomization in `folder` of the base and these components, with a cluster's images and address."""
    name, _, tag = where.operator.rpartition(":")
    settings = {
        "proxyconfig-apiserver": [f"host={address.host}", f"port={address.port}"],
        "proxyconfig-images": [f"agent={where.agent}"],
    }
    maps = [{"name": key, "namespace": NAMESPACE, "behavior": "merge", "literals": literals} for key, literals in settings.items()]
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(BASE, folder)],
        "components": [os.path.relpath(each, folder) for each in components],
        "images": [{"name": product.OPERATOR.name, "newName": name, "newTag": tag}],
        "configMapGenerator": maps,
    }
