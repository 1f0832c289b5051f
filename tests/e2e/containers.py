"""What runs in the containers of pods: killed as the kernel's OOM killer would, nobody is asked and the pod stays."""

from __future__ import annotations

from tests.cluster import cluster
from tests.cluster.command import run
from tests.cluster.node import SOCKET
from tests.e2e.installed import Installed
from tests.e2e.reader import Object
from tests.support.polling import eventually


def kill(local: cluster.Cluster, pod: Object) -> None:
    """Kill the process of a pod's only container."""
    (container,) = pod["status"]["containerStatuses"]
    (node,) = (each for each in local.nodes if each.name == pod["spec"]["nodeName"])
    task = container["containerID"].removeprefix("containerd://")
    ctr = (node.programs["ctr"], "--address", SOCKET, "--namespace", "k8s.io")
    run(*node.enter(), *ctr, "tasks", "kill", "--signal", "SIGKILL", task)


def restarts(pod: Object) -> int:
    """Return how often a pod's containers were started again."""
    return sum(container["restartCount"] for container in pod["status"]["containerStatuses"])


def await_restart(product: Installed, before: Object) -> None:
    """Wait until a pod's container runs again and is ready."""
    name, namespace = before["metadata"]["name"], before["metadata"]["namespace"]

    def again() -> bool:
        pod = product.get("pods", name, namespace)
        return restarts(pod) > restarts(before) and all(container["ready"] for container in pod["status"]["containerStatuses"])

    eventually(again, within_s=180, every_s=0.5)
