"""The kernels as programs (user-mode Linux), built once from Debian's source package and kept in the cache.

The package comes from Debian's mirrors, also where the machine's own distribution has another series of kernels, or is Ubuntu.

All of them come from one source tree, one after the other: they differ in an option or two, so make compiles again only what depends on it.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from tests.cluster import cache, packages
from tests.cluster.command import run
from tests.cluster.errors import ClusterError, CommandError
from tests.cluster.progress import duration, say
from tests.kernels.variants import EVERY, TESTED, Kernel, Series

PACKAGES: Mapping[str, str] = {
    "bc": "bc",
    "bison": "bison",
    "debian-archive-keyring": packages.NEEDED["debian-archive-keyring"],
    "flex": "flex",
    "gcc": "gcc",
    "libc6-dev": "/usr/include/stdio.h",
    "make": "make",
    "mmdebstrap": "mmdebstrap",
    "xz-utils": "xz",
}
OTHERS = "The other tests: .venv/bin/python -m tests check unit kernel traffic flows e2e cluster apiserver"
"""How a machine that can have no such kernels runs the rest."""
MINUTES = {1: 15, 6: 19}
"""How long that many kernels of a series take."""
REPORT_EVERY_S = 10
# Of what no such kernel compiles, only the Kconfig files are read; unpacking the rest takes longer than anything else.
_UNUSED = ("drivers/gpu/*.[ch]", "drivers/media/*.[ch]", "sound/*.[ch]", "arch/*.dts*", "Documentation/*.rst", "tools/*")
_MAKE = ("make", "ARCH=um")
_REGISTERS = ("arch/x86/um/user-offsets.c", "DEFINE_LONGS(HOST_FP_SIZE, 2696);", "DEFINE_LONGS(HOST_FP_SIZE, 12288);")
"""A file of the sources, the size in bytes that it has for the floating point and vector registers of a process, and the one that it gets.

A processor with AMX has 11,008 bytes of them. Where they do not fit, the kernel starts no program ("ptrace set fp regs failed")."""


def ensure(series: Series = TESTED) -> Mapping[str, Path]:
    """Return the program of each kernel of a series by its name; build what the cache does not have.

    Raises ClusterError if this machine cannot build them.
    """
    key = _key(series)
    folder = cache.root() / "kernels" / key
    if not folder.is_dir():
        if platform.machine() != "x86_64":
            raise ClusterError(
                f"the kernels are user-mode Linux, which needs an x86-64 machine; this one is {platform.machine()}. {OTHERS}"
            )
        packages.ensure(PACKAGES)
        count = len(series.kernels)
        say(f"building Linux {series.version} once, into {cache.root()}: {count} kernels, about {MINUTES[count]} minutes on two cores")
        cache.entry("kernels", key, partial(_build, series))
    return {kernel.name: folder / kernel.name for kernel in series.kernels}


def program(name: str) -> Path:
    """Return the program of a kernel; see `ensure`."""
    series = next(series for series in EVERY if name in {kernel.name for kernel in series.kernels})
    return ensure(series)[name]


def _key(series: Series) -> str:
    return f"{series.version}-{cache.digest([*(kernel.configuration() for kernel in series.kernels), *_REGISTERS])}"


def _build(series: Series, folder: Path) -> None:
    """Build all kernels of a series into `folder`."""
    started = time.monotonic()
    tree = folder / "source"
    tree.mkdir()
    _unpack(series, tree)
    for kernel in series.kernels:
        _configure(series, kernel, tree)
        _compile(series, kernel, tree)
        shutil.copy2(tree / "linux", folder / kernel.name)
    shutil.rmtree(tree)
    say(f"built {len(series.kernels)} kernels in {duration(time.monotonic() - started)}")


def _unpack(series: Series, tree: Path) -> None:
    """Fetch the sources and unpack what of them is needed."""
    package, name = tree / "package", f"linux-source-{series.version}"
    say(f"fetching {name} of Debian's {series.release}, and unpacking it")
    advice = "mmdebstrap must reach a Debian mirror; http_proxy is respected."
    run("mmdebstrap", "--variant=extract", f"--include={name}", series.release, package, timeout_s=900, advice=advice)
    archive = package / "usr" / "src" / f"{name}.tar.xz"
    unused = [f"--exclude={name}/{pattern}" for pattern in _UNUSED]
    run("tar", "--extract", "--strip-components=1", "--wildcards", *unused, "--file", archive, "--directory", tree, timeout_s=900)
    shutil.rmtree(package)
    _make_room_for_registers(series, tree)


def _make_room_for_registers(series: Series, tree: Path) -> None:
    """Raises ClusterError if the sources are others than those that are known."""
    name, known, wider = _REGISTERS
    text = (tree / name).read_text()
    if text.count(known) != 1:
        raise ClusterError(f"Linux {series.version}: {name} has no line {known!r}, so this kernel may not start on every processor")
    (tree / name).write_text(text.replace(known, wider))


def _configure(series: Series, kernel: Kernel, tree: Path) -> None:
    """Write the tree's .config. Raises ClusterError if Kconfig made something else of an option."""
    wanted = tree / "wanted.config"
    wanted.write_text(kernel.configuration())
    run(*_MAKE, "allnoconfig", cwd=tree, env={**os.environ, "KCONFIG_ALLCONFIG": str(wanted)})
    expected = [(option, value) for option, value in kernel.options() if option not in series.merged]
    made = dict(line.split("=", 1) for line in (tree / ".config").read_text().splitlines() if line.startswith("CONFIG_"))
    # What needs an option that is off is off as well; a complete kernel has every option.
    wrong = [option for option, value in expected if made.get(option, "n") != value and (value == "n" or not kernel.without)]
    if wrong:
        raise ClusterError(f"Linux {series.version} {kernel.name}: Kconfig does not take the values of {', '.join(wrong)}")


def _compile(series: Series, kernel: Kernel, tree: Path) -> None:
    """Make the program `linux`, and say every few seconds how far it is."""
    started = time.monotonic()
    log = tree / "make.log"
    command = [*_MAKE, f"-j{os.cpu_count()}", "linux"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=tree, stdout=output, stderr=output, start_new_session=True)
    try:
        while process.poll() is None:
            _wait(process)
            files = log.read_text(errors="replace").count("  CC  ")
            say(f"building Linux {series.version} {kernel.name}: {files} files compiled, {duration(time.monotonic() - started)} so far")
    except BaseException:
        os.killpg(process.pid, 15)  # an interrupted run leaves no compiler behind
        process.wait()
        raise
    if process.returncode:
        raise CommandError(command, log.read_text(errors="replace"), "A full disk or too little memory also ends a build here.")


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(REPORT_EVERY_S)
    except subprocess.TimeoutExpired:
        return
