"""One run of the virtual machine: boot, print what the guest prints, return pytest's exit status."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.cluster import packages
from tests.cluster.errors import ClusterError
from tests.cluster.progress import say
from tests.vm import image

BOUND_S = 1800


def run(arguments: list[str]) -> int:
    """Boot, run pytest with these arguments, power off; return its exit status. Raises ClusterError if the guest did not get that far."""
    packages.ensure(image.PACKAGES)
    kernel = image.kernel()
    initramfs, disk = image.first_root(kernel), image.disk(kernel)
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch) / "project.tar"
        image.project(project, arguments)
        say(f"booting {kernel.name}")
        return _boot(next((kernel / "boot").glob("vmlinuz-*")), initramfs, (disk, project))


def _boot(kernel: Path, initramfs: Path, disks: tuple[Path, ...]) -> int:
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "3072", "-nographic", "-no-reboot"]
    command += ["-nic", "none", "-kernel", str(kernel), "-initrd", str(initramfs), "-append", "console=ttyS0 quiet panic=-1 net.ifnames=0"]
    for disk in disks:
        command += ["-drive", f"file={disk},format=raw,if=virtio,readonly=on"]
    result: int | None = None
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace") as machine:
        assert machine.stdout is not None
        for line in machine.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            if found := re.match(r"RESULT (\d+)", line):
                result = int(found[1])
        machine.wait(BOUND_S)
    if result is None:
        raise ClusterError("the virtual machine ended before its tests did; its console is above")
    return result
