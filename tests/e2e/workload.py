"""Pods that answer and ask: on every node two backends, a client, and one on the host network. All run the agent's image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.installed import Installed
from tests.e2e.surroundings import NodeAddress, pair_of
from tests.support.netns.topology import Pair
from tests.support.polling import eventually

NAME = "e2e-peers"
PROGRAMS = ("__init__.py", "associations.py", "sctp.py", "echo.py", "probe.py")
PORTS = (8080, 9090)
ROLES = ("backend-1", "backend-2", "client", "host")
SOURCES = Path(__file__).parents[1] / "support" / "netns"


def pod_name(role: str, number: int) -> str:
    """The pod of a role on the node of this number, counted from 1."""
    return f"{role}-on-{number}"


def create(product: Installed, nodes: list[NodeAddress]) -> dict[str, Pair]:
    """Create them, wait until they run, and return their addresses by pod name."""
    product.kubectl("delete", "namespace", NAME, "--ignore-not-found", "--timeout=90s")
    programs = {name: (SOURCES / name).read_text() for name in PROGRAMS}
    pods = [_pod(product.agent_image, role, number, node.name) for number, node in enumerate(nodes, 1) for role in ROLES]
    product.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "programs", "namespace": NAME}, "data": programs},
    )
    eventually(lambda: product.objects("serviceaccounts", NAME), within_s=60)
    product.apply(*pods)
    product.kubectl("-n", NAME, "wait", "--for=condition=Ready", "--timeout=180s", "pods", "--all", timeout_s=200)
    for pod in (pod_name(role, number) for number, _ in enumerate(nodes, 1) for role in ROLES if role.startswith("backend")):
        eventually(lambda pod=pod: product.kubectl("-n", NAME, "logs", pod) == "ready\n", within_s=60, every_s=0.3)  # type: ignore[misc]
    return {pod["metadata"]["name"]: pair_of([entry["ip"] for entry in pod["status"]["podIPs"]]) for pod in product.objects("pods", NAME)}


def delete(product: Installed) -> None:
    """Delete them and everything that was made beside them."""
    product.kubectl("delete", "namespace", NAME, "--ignore-not-found", "--wait=false")


def _pod(image: str, role: str, number: int, node: str) -> dict[str, Any]:
    name = pod_name(role, number)
    serve = [
        "python3",
        "-m",
        "tests.support.netns.echo",
        name,
        "--forever",
        "--address=0.0.0.0",
        "--address=::",
        *(f"--port={port}" for port in PORTS),
    ]
    wait = ["python3", "-c", "import signal; signal.pause()"]
    container = {
        "name": "peer",
        "image": image,
        "command": serve if role.startswith("backend") else wait,
        "workingDir": "/peers",
        # Root and raw sockets: SCTP is spoken by hand.
        "securityContext": {"runAsUser": 0, "capabilities": {"add": ["NET_RAW"]}},
        "volumeMounts": [{"name": "programs", "mountPath": "/peers/tests/support/netns"}],
    }
    spec = {
        "nodeName": node,
        "hostNetwork": role == "host",
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "programs", "configMap": {"name": "programs"}}],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAME, "labels": {"role": role}}, "spec": spec}
