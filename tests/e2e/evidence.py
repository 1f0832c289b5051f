"""What is kept of a cluster when a test on it fails: logs and objects in `.test/e2e/TEST/`.

And nothing else stays: a run that gets SIGTERM ends its cluster first.
"""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from types import FrameType

import pytest
from tests.cluster import cluster, deploy
from tests.cluster.command import run
from tests.cluster.errors import ClusterError
from tests.e2e.installed import Installed

FOLDER = cluster.ROOT / ".test" / "e2e"
TAIL = 400
LIMIT = 200_000
ASKED = {
    "proxyconfigs.yaml": ("get", "proxyconfigs.proxyconfig.dev,nodeproxies", "-o", "yaml"),
    "nodes.txt": ("describe", "nodes"),
    "pods.txt": ("get", "pods", "-A", "-o", "wide"),
    "product.txt": ("-n", deploy.NAMESPACE, "describe", "daemonsets,pods"),
    "events.txt": ("get", "events", "-A", "--sort-by=.metadata.creationTimestamp"),
}
TESTED = pytest.StashKey[Installed]()


@pytest.fixture(scope="session", autouse=True)
def ends_in_order() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C: what a run has started is ended by it."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep what tells why, before the next test changes it."""
    report = yield
    product = item.config.stash.get(TESTED, None)
    if report.failed and product is not None:
        folder = FOLDER / re.sub(r"[^\w.-]+", "-", item.name)[:100]
        keep(product, folder)
        report.sections.append(("kept", f"logs and objects of the cluster are in {folder.relative_to(cluster.ROOT)}"))
    return report


def keep(product: Installed, folder: Path) -> None:
    """Write everything that can be learnt into a folder; what cannot is written as the reason."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, words in ASKED.items():
        (folder / name).write_text(_told(product, *words))
    for pod in _told(product, "-n", deploy.NAMESPACE, "get", "pods", "-o", "name").split():
        for suffix, which in (("log", ()), ("previous.log", ("--previous",))):
            log = _told(product, "-n", deploy.NAMESPACE, "logs", pod, "--all-containers", f"--tail={TAIL}", *which)
            (folder / f"{pod.rpartition('/')[2]}.{suffix}").write_text(log)
    if product.local is not None:
        _keep_nodes(product.local, folder)


def _keep_nodes(local: cluster.Cluster, folder: Path) -> None:
    for log in (*local.plane.folder.glob("*.log"), *local.plane.folder.glob("node-*/*.log")):
        target = folder / "-".join(log.relative_to(local.plane.folder).parts)
        target.write_bytes(log.read_bytes()[-LIMIT:])
    for node in local.nodes:
        try:
            rules = run(*node.enter(), "nft", "list", "ruleset")
        except ClusterError as error:
            rules = str(error)
        (folder / f"{node.name}.nft").write_text(rules)


def _told(product: Installed, *words: str) -> str:
    try:
        return product.kubectl(*words, "--request-timeout=10s", timeout_s=20)
    except ClusterError as error:
        return str(error)
