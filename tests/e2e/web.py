"""The sample web Deployment with its Services, and who answers for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.cluster import cluster, images
from tests.cluster.command import run
from tests.cluster.network import inside
from tests.e2e.installed import Installed

NODE_PORT = 30080
SAMPLE = cluster.ROOT / "tests" / "cluster" / "samples" / "web"
FETCH = cluster.ROOT / "tests" / "cluster" / "fetch.py"


@dataclass(frozen=True, slots=True)
class Web:
    """Three pods that say who they are, behind a ClusterIP and a NodePort Service, on a local cluster; and a client pod."""

    product: Installed
    local: cluster.Cluster

    def outside(self, node: int = 0) -> Sequence[str]:
        """Return the command that fetches through a node's NodePort from outside the nodes."""
        address = self.local.nodes[node].attachment.ipv4
        return (*inside(self.local.outside.namespace), sys.executable, str(FETCH), f"http://{address}:{NODE_PORT}/")

    def from_pod(self) -> Sequence[str]:
        """Return the command that fetches through the cluster IP from a pod."""
        address = self.product.get("services", "web")["spec"]["clusterIP"]
        kubectl = (str(self.local.plane.program("kubectl")), "--kubeconfig", str(self.product.kubeconfig))
        return (*kubectl, "exec", "client", "--", "python3", "/fetch.py", f"http://{address}/")

    def answered_by(self, pods: int, command: Sequence[str]) -> bool:
        """Return whether exactly so many pods answer, and every request is answered."""
        try:
            done = subprocess.run([*command, "--requests", "60"], capture_output=True, text=True, check=False, timeout=60)
        except subprocess.TimeoutExpired:
            return False
        return f"answered by {pods} pods, 0 lost" in done.stdout

    @contextmanager
    def under_traffic(self, seconds: int) -> Iterator[None]:
        """Fetch from outside and from a pod meanwhile; every request must be answered.

        Raises AssertionError with what was lost.
        """
        commands = [[*command, "--seconds", str(seconds)] for command in (self.outside(0), self.outside(1), self.from_pod())]
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for command in commands]
        try:
            yield
        finally:
            told = [process.communicate(timeout=seconds + 60)[0] for process in running]
        assert [process.returncode for process in running] == [0] * len(running), "\n".join(told)


@contextmanager
def web(product: Installed, local: cluster.Cluster) -> Iterator[Web]:
    """Start the sample and a client pod, and remove both afterwards."""
    product.kubectl("apply", "-k", str(SAMPLE))
    product.kubectl("run", "client", f"--image={images.WEB}", "--command", "sleep", "infinity")
    try:
        product.kubectl("rollout", "status", "deployment/web", "--timeout=120s", timeout_s=150)
        product.kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=120s")
        yield Web(product, local)
    finally:
        product.kubectl("delete", "-k", str(SAMPLE), "--wait=false")
        product.kubectl("delete", "pod", "client", "--force", "--grace-period=0", "--ignore-not-found")


def on_node(local: cluster.Cluster, node: int, *words: str) -> str:
    """Run a command in a node's network and return what it printed."""
    return run(*inside(local.nodes[node].attachment.namespace), *words)
