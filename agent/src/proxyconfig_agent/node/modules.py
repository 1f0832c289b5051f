"""Kernel modules: which are present, which are missing, and loading them, which only the init container may (CAP_SYS_MODULE)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from proxyconfig_agent.state.findings import Finding, Topic

_log = structlog.get_logger("modules")

ESSENTIAL = ("nf_conntrack",)
"""Required in every mode: without it there are no conntrack sysctls."""

HELPFUL = ("nf_conntrack_netlink",)
"""What the clean-up of UDP flows uses in every mode. The kernel loads it when it is needed, unless autoloading is off."""

SIGNS = {
    "nf_conntrack": "proc/sys/net/netfilter/nf_conntrack_max",
    "br_netfilter": "proc/sys/net/bridge",
    "ip_vs": "proc/net/ip_vs",
    "ip_tables": "proc/net/ip_tables_names",
    "ip6_tables": "proc/net/ip6_tables_names",
}
"""Files that prove a module although no list names it: a kernel without /lib/modules, or without loadable modules at all."""


@dataclass(frozen=True, slots=True)
class Modules:
    """What the running kernel has: `present` are the modules that are loaded or built in."""

    release: str
    present: frozenset[str]
    loadable: bool
    """Whether this kernel can load modules."""


def read(root: Path = Path("/"), release: str = "") -> Modules:
    """The modules of the running kernel, from /proc/modules, /sys/module and modules.builtin; what cannot be read counts as empty."""
    release = release or os.uname().release
    names = {line.split()[0] for line in _lines(root / "proc/modules")}
    if (root / "sys/module").is_dir():
        names.update(os.listdir(root / "sys/module"))
    names.update(Path(line).name.partition(".ko")[0] for line in _lines(root / "lib/modules" / release / "modules.builtin"))
    names.update(name for name, sign in SIGNS.items() if (root / sign).exists())
    return Modules(release, frozenset(map(canonical, names)), (root / "proc/modules").exists())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def canonical(name: str) -> str:
    """The kernel writes `-` and `_` alike; lists of modules hold `_`, files often `-`."""
    return name.replace("-", "_")


def missing(required: Iterable[str], modules: Modules) -> tuple[str, ...]:
    """Those of `required` that the kernel does not have, in the order given, each once."""
    return tuple(dict.fromkeys(name for name in required if canonical(name) not in modules.present))


def findings(required: Iterable[str], modules: Modules) -> tuple[Finding, ...]:
    """A sentence for each required module that is missing, naming the kernel and what to do."""
    advice = (
        "load it on the host (modprobe), or remove it from spec.kernel.modules"
        if modules.loadable
        else "this kernel cannot load modules: boot one that has it built in, or remove it from spec.kernel.modules"
    )
    return tuple(
        Finding(Topic.MODULES, "ModuleMissing", f"module {name} is neither loaded nor built into kernel {modules.release}; {advice}")
        for name in missing(required, modules)
    )


def load(names: Iterable[str], modprobe: str = "modprobe") -> tuple[str, ...]:
    """Load each with kmod's modprobe, in order; return one line for each that could not be, with modprobe's words."""
    failures = []
    for name in names:
        # A name that begins with a dash is no option after `--`.
        try:
            done = subprocess.run([modprobe, "--", name], capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            failures.append(f"{name}: {error}")
            continue
        if done.returncode:
            failures.append(f"{name}: {done.stderr.strip() or f'modprobe ended with status {done.returncode}'}")
        else:
            _log.info("module loaded", name=name)
    return tuple(failures)
