"""A whole cluster: control plane, nodes, DNS and an external client; up, found again by its name, down.

`up` either ends with every node Ready or leaves nothing but the logs of what failed.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import binaries, controlplane, dns, images, machine, packages, registry, remains
from tests.cluster.certificates import Authority
from tests.cluster.controlplane import ControlPlane
from tests.cluster.errors import ClusterError
from tests.cluster.network import OUTSIDE_HOST, Attachment, Switch
from tests.cluster.node import Node
from tests.cluster.progress import duration, say

ROOT = Path(__file__).parents[2]
CLUSTERS = ROOT / ".cluster"
DEFAULT_NAME = "local"
NODE_READY_WITHIN_S = 120
_KUBELET_ADVICE = "`kubectl describe node` and containerd.log beside this log tell more; a start with fewer nodes needs less memory."


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that is up, or being started."""

    name: str
    plane: ControlPlane
    nodes: tuple[Node, ...]

    @property
    def outside(self) -> Attachment:
        """Return the external client's namespace: it reaches the nodes' addresses and nothing else."""
        return self.plane.switch.attachment("outside", OUTSIDE_HOST)

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig; the default cluster's is .cluster/kubeconfig."""
        return CLUSTERS / "kubeconfig" if self.name == DEFAULT_NAME else self.plane.kubeconfig

    def load(self, archive: Path) -> None:
        """Import an image archive into every node."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: node.load(archive), self.nodes))


def up(name: str, count: int) -> Cluster:
    """Start a cluster and wait until its nodes are Ready.

    Raises ClusterError; whatever ends the start early, nothing of the cluster is left.
    """
    packages.ensure()
    binaries.ensure()
    archive = images.testing()
    started = time.monotonic()
    entry = _reserve(name)
    pool = ThreadPoolExecutor()
    try:
        made = _start(name, entry, count, archive, pool)
        entry.keep()
    except BaseException as error:
        with _uninterrupted():
            say("cleaning up")
            remains.end_processes(entry.number)  # so that the threads which still start nodes come to their end
            pool.shutdown(cancel_futures=True)
            if isinstance(error, ClusterError):
                _keep_logs(name, entry.folder)
            _remove(name, entry)
        raise
    pool.shutdown()
    say(f"cluster {name} is up: {count} nodes Ready, {duration(time.monotonic() - started)} after the start")
    return made


def down(name: str) -> None:
    """End a cluster and remove everything of it, also what an earlier run left; nothing happens if there is none.

    Raises ClusterError if something could not be removed.
    """
    remains.sweep()
    with _uninterrupted():
        if entry := registry.find(_folder(name)):
            if entry.owner not in {None, os.getpid()}:
                raise ClusterError(f"cluster {name} is being started by process {entry.owner}: interrupt that one, it cleans up.")
            _remove(name, entry)
            say(f"cluster {name} is gone: no process, namespace, link, mount, cgroup or file of it is left")
        else:
            say(f"there is no cluster {name}")
        shutil.rmtree(_failed(name), ignore_errors=True)
        _remove_if_empty(CLUSTERS)


@contextmanager
def provided(name: str = DEFAULT_NAME, count: int = 2) -> Iterator[Cluster]:
    """Give the cluster of this name: one that is up is used and left as it is, else one is started and ended afterwards.

    Raises ClusterError.
    """
    try:
        existing = find(name)
    except ClusterError:
        existing = None
    if existing is not None:
        yield existing
        return
    try:
        yield up(name, count)
    finally:
        down(name)


def find(name: str) -> Cluster:
    """Return a cluster that is up.

    Raises ClusterError if there is none.
    """
    entry = registry.find(_folder(name))
    if entry is None or entry.owner is not None:
        raise ClusterError(f"there is no cluster {name}. `make cluster` starts one.")
    programs = binaries.ensure()
    switch = Switch(entry.number)
    plane = ControlPlane(entry.folder, switch, programs, Authority(entry.folder / "certificates"))
    count = sum(1 for _ in entry.folder.glob("node-*"))
    return Cluster(name, plane, tuple(Node(plane, programs, number) for number in range(1, count + 1)))


def of_kubeconfig(kubeconfig: Path) -> Cluster | None:
    """Return the local cluster that a kubeconfig is of; None if it is of another kind of cluster."""
    folder = kubeconfig.resolve().parent
    is_local = folder.parent == CLUSTERS and registry.find(folder) is not None
    return find(folder.name) if is_local else None


def _start(name: str, entry: registry.Entry, count: int, archive: Path, pool: ThreadPoolExecutor) -> Cluster:
    say(f"starting cluster {name}: etcd and kube-apiserver")
    plane = controlplane.create(entry.folder, entry.number)
    programs = binaries.ensure()
    nodes = tuple(Node(plane, programs, number) for number in range(1, count + 1))
    made = Cluster(name, plane, nodes)
    _connect(made)
    starting = [pool.submit(node.prepare, [archive]) for node in nodes]
    plane.start()
    _link_kubeconfig(made)
    plane.start_controllers()
    plane.apply(*(node.manifest() for node in nodes), *dns.objects(min(count, 2)))
    say(f"starting {count} nodes: containerd, images, kubelet")
    for future in starting:
        future.result()
    for node in nodes:
        node.join()
    _await_nodes(plane, nodes)
    plane.verify("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
    return made


def _connect(made: Cluster) -> None:
    for node in made.nodes:
        node.connect(made.nodes)
    made.plane.switch.attach("outside", OUTSIDE_HOST)
    made.plane.switch.verify_closed()


def _await_nodes(plane: ControlPlane, nodes: Sequence[Node]) -> None:
    for node in nodes:
        node.process("kubelet").ready_when(lambda node=node: _is_ready(plane, node), NODE_READY_WITHIN_S, _KUBELET_ADVICE)  # type: ignore[misc]


def _is_ready(plane: ControlPlane, node: Node) -> bool:
    try:
        found: dict[str, Any] = plane.get(f"/api/v1/nodes/{node.name}") or {}
    except OSError:
        return False
    conditions = found.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _reserve(name: str) -> registry.Entry:
    folder = _folder(name)
    with registry.one_at_a_time("start"):  # two starts of one name must not both find nothing
        remains.sweep()
        if existing := registry.find(folder):
            doing = "is being started by another run" if existing.owner else "is up already"
            raise ClusterError(f"cluster {name} {doing} ({folder}). `make cluster-down` ends it, `--name` starts another one beside it.")
        shutil.rmtree(folder, ignore_errors=True)  # of before a reboot
        machine.prepare()
        return registry.reserve(folder, nodes=True)


def _remove(name: str, entry: registry.Entry) -> None:
    remains.remove(entry)
    link = CLUSTERS / "kubeconfig"
    if name == DEFAULT_NAME:
        link.unlink(missing_ok=True)


def _link_kubeconfig(made: Cluster) -> None:
    if made.name == DEFAULT_NAME:
        made.kubeconfig.unlink(missing_ok=True)
        made.kubeconfig.symlink_to(made.plane.kubeconfig.relative_to(CLUSTERS))


def _keep_logs(name: str, folder: Path) -> None:
    kept = _failed(name)
    shutil.rmtree(kept, ignore_errors=True)
    for log in (*folder.glob("*.log"), *folder.glob("node-*/*.log")):
        target = kept / log.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, target)
    say(f"the logs of the failed start are in {kept}")


def _folder(name: str) -> Path:
    return CLUSTERS / name


def _failed(name: str) -> Path:
    return CLUSTERS / f"{name}.failed"


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait: a clean-up that is cut short is what leaves things behind."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
