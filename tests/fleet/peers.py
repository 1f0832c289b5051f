"""Pods of a fleet that answer and ask: servers in each zone behind one Service of both families, and clients. All run the agent's image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.cluster import cgroups, cluster
from tests.e2e.installed import Installed
from tests.support.polling import eventually

NAMESPACE = "fleet"
SERVERS, CLIENTS = ("node-2", "node-4", "node-6"), ("node-1", "node-5")
WORD, TALK, WORD_NODE_PORT, TALK_NODE_PORT = 80, 81, 30090, 30091
"""One port answers a word to each connection and datagram, the other one talks for as long as the client does."""
_ECHO, _TALKING = 8080, 7070
_ROOT = cluster.ROOT / "tests"
_PROGRAMS = {
    "netns": [_ROOT / "support" / "netns" / name for name in ("__init__.py", "associations.py", "sctp.py", "echo.py")],
    "fleet": [_ROOT / "fleet" / "talking.py"],
}
_MOUNTS = {"netns": "/peers/tests/support/netns", "fleet": "/peers/tests/fleet"}


def create(product: Installed) -> Mapping[str, Any]:
    """Create them, wait until they run, and return the Service."""
    product.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    eventually(lambda: product.objects("serviceaccounts", NAMESPACE), within_s=60)
    product.apply(*(_programs(name) for name in _PROGRAMS), _service())
    product.apply(*(_pod(product.agent_image, "server", node, _serving()) for node in SERVERS))
    product.apply(*(_pod(product.agent_image, "client", node, [_waiting()]) for node in CLIENTS))
    product.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", "--timeout=240s", "pods", "--all", timeout_s=260)
    return product.get("services", "asked", NAMESPACE)


def process_of_client(product: Installed, local: cluster.Cluster, node: str) -> int:
    """A process of the machine in the client pod of a node: its network is the pod's."""
    uid = product.get("pods", f"client-on-{node}", NAMESPACE)["metadata"]["uid"]
    (found,) = (each for each in local.nodes if each.name == node)
    files = (cgroups.hierarchies()[0] / found.cgroup).rglob(f"*{uid}*/**/cgroup.procs")
    return next(int(line) for file in files for line in file.read_text().split())


def _programs(name: str) -> dict[str, Any]:
    data = {path.name: path.read_text() for path in _PROGRAMS[name]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NAMESPACE}, "data": data}


def _service() -> dict[str, Any]:
    ports = [
        {"name": "word", "protocol": "TCP", "port": WORD, "targetPort": _ECHO, "nodePort": WORD_NODE_PORT},
        {"name": "datagram", "protocol": "UDP", "port": WORD, "targetPort": _ECHO, "nodePort": WORD_NODE_PORT},
        {"name": "talk", "protocol": "TCP", "port": TALK, "targetPort": _TALKING, "nodePort": TALK_NODE_PORT},
    ]
    spec = {"type": "NodePort", "selector": {"role": "server"}, "ipFamilyPolicy": "RequireDualStack", "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "asked", "namespace": NAMESPACE}, "spec": spec}


def _serving() -> list[dict[str, Any]]:
    echo = ("tests.support.netns.echo", "server", "--forever", "--address=0.0.0.0", "--address=::", f"--port={_ECHO}")
    protocols = ("--protocol=tcp", "--protocol=udp")
    return [_container("echo", "-m", *echo, *protocols), _container("talking", "-m", "tests.fleet.talking", str(_TALKING))]


def _waiting() -> dict[str, Any]:
    return _container("client", "-c", "import signal; signal.pause()")


def _container(name: str, *words: str) -> dict[str, Any]:
    mounts = [{"name": volume, "mountPath": path} for volume, path in _MOUNTS.items()]
    return {"name": name, "command": ["python3", *words], "workingDir": "/peers", "volumeMounts": mounts}


def _pod(image: str, role: str, node: str, containers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    spec = {
        "nodeName": node,
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"operator": "Exists"}],
        "containers": [{**container, "image": image} for container in containers],
        "volumes": [{"name": name, "configMap": {"name": name}} for name in _MOUNTS],
    }
    metadata = {"name": f"{role}-on-{node}", "namespace": NAMESPACE, "labels": {"role": role}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
