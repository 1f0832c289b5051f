"""Reads which modules the running kernel has, and loads others, which only the init container may (CAP_SYS_MODULE)."""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import structlog

from proxyconfig_agent.node.modules.module_record import Record
from proxyconfig_agent.node.modules.module_states import Modules, canonical

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


def read(root: Path = Path("/"), release: str = "", record: Record | None = None) -> Modules:
    """The modules of the running kernel, and what the init container has recorded of them. What cannot be read counts as empty, or None."""
    release, record = release or os.uname().release, record or Record()
    folder = root / "lib/modules" / release
    loaded = {line.split()[0] for line in _lines(root / "proc/modules") or ()}
    entries = set(os.listdir(root / "sys/module")) if (root / "sys/module").is_dir() else set()
    built_in = _lines(folder / "modules.builtin")
    return Modules(
        release,
        loaded=_names(loaded),
        built_in=_names(_of_file(line) for line in built_in) if built_in is not None else None,
        proven=_names((*(entries - loaded), *(name for name, sign in SIGNS.items() if (root / sign).exists()))),
        options=_options(root, release),
        available=_names(_of_file(line.partition(":")[0]) for line in _lines(folder / "modules.dep") or ()),
        loadable=(root / "proc/modules").exists(),
        disabled=_lines(root / "proc/sys/kernel/modules_disabled") == ["1"],
        loaded_by_us=frozenset(record.loaded),
        failures=record.failures,
    )


def _lines(path: Path) -> list[str] | None:
    try:
        return path.read_text().splitlines()
    except OSError:
        return None


def _of_file(line: str) -> str:
    """`kernel/net/netfilter/nf-conntrack.ko.zst` is nf-conntrack."""
    # Without pathlib: there are ten thousand of them, and the event loop waits.
    return line.rpartition("/")[2].partition(".ko")[0]


def _names(names: Iterable[str]) -> frozenset[str]:
    return frozenset(map(canonical, names))


def _options(root: Path, release: str) -> dict[str, str] | None:
    """The options that are set to `y` or `m`, by the first configuration of this kernel that can be read."""
    try:
        text: Iterable[str] | None = gzip.decompress((root / "proc/config.gz").read_bytes()).decode(errors="replace").splitlines()
    except OSError:
        files = (root / "boot" / f"config-{release}", root / "lib/modules" / release / "config")
        text = next((lines for lines in map(_lines, files) if lines is not None), None)
    if text is None:
        return None
    pairs = (line.partition("=") for line in text if line.endswith(("=y", "=m")))
    return {option: value for option, _, value in pairs}


def load(names: Iterable[str], modprobe: str = "modprobe") -> dict[str, str]:
    """Load each with kmod's modprobe, in order; return each with modprobe's words if it could not be, else with none."""
    return {name: _refusal(name, modprobe) for name in names}


def _refusal(name: str, modprobe: str) -> str:
    # A name that begins with a dash is no option after `--`.
    try:
        done = subprocess.run([modprobe, "--", name], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        words = str(error)
    else:
        words = (done.stderr.strip() or f"modprobe ended with status {done.returncode}") if done.returncode else ""
    if words:
        _log.warning("module not loaded", name=name, error=words)
    else:
        _log.info("module loaded", name=name)
    return words
