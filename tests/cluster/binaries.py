"""The programs of a cluster, built from their Go modules and kept in the cache, keyed by versions, checksums and flags.

Each folder below `go/` is one module (their dependencies do not agree in one); its go.sum makes Go verify what it downloads.
Used by everything in tests/cluster, and alone: `ensure("etcd", "kubernetes")["kube-proxy"]`.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster import cache, golang
from tests.cluster.errors import CommandError
from tests.cluster.progress import duration, say

MODULES = Path(__file__).parent / "go"
REPORT_EVERY_S = 10


@dataclass(frozen=True, slots=True)
class Component:
    """One Go module and the programs that are built from it; `minutes` is a first build on two cores."""

    name: str
    module: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    minutes: int
    flags: tuple[str, ...] = ("-trimpath",)
    linked: str = "-s -w"

    @property
    def version(self) -> str:
        """Return the version that go.mod asks for: there alone it is written."""
        match = re.search(rf"^(?:require)?\s+{re.escape(self.module)} (v\S+)", (MODULES / self.name / "go.mod").read_text(), re.MULTILINE)
        if match is None:
            raise LookupError(f"{self.name}/go.mod does not require {self.module}")
        return match[1]

    def command(self, go: golang.Toolchain, folder: Path) -> list[str]:
        """Return the build command that puts the programs into `folder`."""
        output = f"{folder}/" if len(self.programs) > 1 else str(folder / self.programs[0])
        linked = self.linked.format(version=self.version)
        return [str(go.program), "build", "-v", *self.flags, f"-ldflags={linked}", "-o", output, *self.packages]

    def key(self, go: golang.Toolchain) -> str:
        """Return the name in the cache: other inputs, other name."""
        sources = sorted(path for path in (MODULES / self.name).iterdir() if path.is_file())
        inputs: list[bytes | str] = [*(path.read_bytes() for path in sources), *self.flags, self.linked, *self.packages]
        return f"{self.name}-{self.version}-{go.architecture}-{cache.digest(inputs)}"


COMPONENTS: Mapping[str, Component] = {
    component.name: component
    for component in (
        Component("etcd", "go.etcd.io/etcd/server/v3", ("go.etcd.io/etcd/server/v3",), ("etcd",), minutes=1),
        Component(
            "kubernetes",
            "k8s.io/kubernetes",
            ("tool",),
            ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet"),
            minutes=6,
            linked="-s -w -X k8s.io/component-base/version.gitVersion={version}",
        ),
        Component(
            "containerd",
            "github.com/containerd/containerd/v2",
            ("tool",),
            ("containerd", "containerd-shim-runc-v2", "ctr"),
            minutes=2,
            flags=("-trimpath", "-tags=no_btrfs no_aufs no_zfs no_devmapper"),
        ),
        Component("coredns", "github.com/coredns/coredns", (".",), ("coredns",), minutes=1),
    )
}


def ensure(*names: str) -> Mapping[str, Path]:
    """Return program name → path for the named components (all by default); build what the cache does not have."""
    wanted = [COMPONENTS[name] for name in names or COMPONENTS]
    go = golang.toolchain()
    missing = [component for component in wanted if not (cache.root() / "bin" / component.key(go)).is_dir()]
    if missing:
        words = ", ".join(f"{component.name} {component.version}" for component in missing)
        minutes = sum(component.minutes for component in missing)
        say(f"building {words} once, into {cache.root()}: about {minutes} minutes on two cores")
    folders = [(component, cache.entry("bin", component.key(go), partial(_build, component, go))) for component in wanted]
    return {program: folder / program for component, folder in folders for program in component.programs}


def _build(component: Component, go: golang.Toolchain, folder: Path) -> None:
    """Build one component into `folder`, and say every few seconds how far it is."""
    name = f"{component.name} {component.version}"
    where = MODULES / component.name
    listing = [str(go.program), "list", "-deps", *component.packages]
    packages = _watched(
        listing, where, go, lambda log, took: say(f"{name}: {log.count('go: downloading')} modules fetched, {duration(took)} so far")
    )
    total = len(packages.splitlines())

    def tell(log: str, took: float) -> None:
        done = len(log.splitlines())
        left = f", about {duration(took * (total - done) / done)} left" if done > total / 10 else ""
        done_words = f"{done} of {total} packages" if done else "checking what is compiled already, then linking"
        say(f"building {name}: {done_words}, {duration(took)} so far{left}")

    started = time.monotonic()
    _watched(component.command(go, folder), where, go, tell)
    say(f"built {name} in {duration(time.monotonic() - started)}")


def _watched(command: list[str], where: Path, go: golang.Toolchain, tell: Callable[[str, float], None]) -> str:
    """Run a Go command to its end; meanwhile `tell` what it has written to stderr. Return its stdout."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder, "out"), Path(folder, "log")
        with out.open("wb") as to_out, log.open("wb") as to_log:
            process = subprocess.Popen(command, cwd=where, env=go.environment(), stdout=to_out, stderr=to_log)
        try:
            while not _ended(process):
                tell(log.read_text(errors="replace"), time.monotonic() - started)
        except BaseException:
            process.terminate()  # an interrupted run leaves no compiler behind
            process.wait()
            raise
        if process.returncode:
            advice = "Modules come through GOPROXY (`go env GOPROXY`); a full disk or too little memory also ends a build here."
            raise CommandError(command, log.read_text(errors="replace"), advice)
        return out.read_text()


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(REPORT_EVERY_S)
    except subprocess.TimeoutExpired:
        return False
    return True
