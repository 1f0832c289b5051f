"""Describes the machine of a run in the words of a report: nothing that names it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.command import run

BUSY = 0.3


def description() -> list[str]:
    """One fact per line."""
    return [
        f"{os.cpu_count()} CPUs ({_cpu_model()}), {_memory_gib():.0f} GiB of memory",
        f"Linux {version_of(platform.release())}, {platform.machine()}, {_distribution()}",
        f"{run('nft', '--version').split(' (')[0].strip()} (kube-proxy uses it, the agent does not), Python {platform.python_version()}",
    ]


def other_kernel() -> str:
    """The kernel in the words of a report, where it is not the machine's own; else nothing."""
    if _cpu_model() != "UML":
        return ""
    return f"Linux {version_of(platform.release())} as an ordinary process (user-mode Linux) with one processor"


def busy_cpus() -> float:
    """How many CPUs others use now, by the load of the last minute."""
    return os.getloadavg()[0]


def version(kube_proxy: Path) -> str:
    """The version of the kube-proxy that was measured."""
    return run(kube_proxy, "--version").strip()


def version_of(release: str) -> str:
    """The version in a kernel's release; what distributions and machines add to it says nothing here."""
    return release.partition("-")[0]


def fact_of(text: str, key: str, separator: str) -> str:
    """The value behind a key in `key<separator>value` lines; `unknown` if it is not there."""
    lines: Sequence[str] = text.splitlines()
    found = (line.partition(separator)[2] for line in lines if line.partition(separator)[0].strip() == key)
    return next(found, "unknown").strip().strip('"')


def _cpu_model() -> str:
    return fact_of(Path("/proc/cpuinfo").read_text(), "model name", ":")


def _distribution() -> str:
    return fact_of(Path("/etc/os-release").read_text(), "PRETTY_NAME", "=")


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
