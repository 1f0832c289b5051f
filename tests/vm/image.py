"""What the virtual machine boots: another kernel, a first root with the modules to find a disk, and a disk with Debian and our tools.

All three are made once and kept in the cache; the repository itself goes along as a tar archive on a second disk.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
from pathlib import Path

from tests.cluster import cache
from tests.cluster.command import run
from tests.cluster.progress import say

KERNEL = "linux-image-cloud-amd64"
PACKAGES = {
    "busybox-static": "/bin/busybox",
    "cpio": "cpio",
    "mmdebstrap": "mmdebstrap",
    "qemu-system-x86": "qemu-system-x86_64",
    "squashfs-tools": "mksquashfs",
}
IN_GUEST = ("conntrack", "iproute2", "iptables", "kmod", "nftables", "procps", "python3", "python3-venv")
_BOOT_MODULES = (
    "virtio_ring",  # in the order in which they need each other
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "squashfs",
    "overlay",
)
_REPOSITORY = Path(__file__).resolve().parents[2]
_SHIPPED = ("api", "client", "agent", "operator", "tests", "crds", "docs", "pyproject.toml")
_UNNEEDED = ("python-iptables", "kopf", "kubernetes", "mypy", "ruff", "pre-commit", "uv")

_FIRST_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
for module in {modules}; do insmod /modules/$module.ko; done
mkdir -p /lower /upper /root
mount -t squashfs -o ro /dev/vda /lower
mount -t tmpfs tmpfs /upper; mkdir -p /upper/data /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work overlay /root
exec switch_root /root /guest-init
"""

_GUEST_INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs run /run; mount -t tmpfs tmp /tmp
mkdir -p /project /dev/shm; mount -t tmpfs shm /dev/shm; tar -xf /dev/vdb -C /project; ip link set lo up; cd /project
export PYTHONPATH=/site:/project/api/src:/project/client/src:/project/agent/src:/project
echo "kernel $(uname -r), $(nft --version)"
python3 -m pytest --color=no -p no:cacheprovider --timeout=600 $(cat /project/arguments); echo "RESULT $?"
echo o > /proc/sysrq-trigger; while true; do read -r wait < /dev/zero; done
"""


def kernel() -> Path:
    """Return a folder that holds the unpacked package of the kernel: `boot/vmlinuz-…`, `lib/modules/…`."""
    wanted = run("apt-cache", "show", KERNEL)
    name = next(line.split(":")[1].split("(")[0].strip() for line in wanted.splitlines() if line.startswith("Depends:"))
    return cache.entry("vm-kernel", name, lambda folder: _unpack(name, folder))


def _unpack(package: str, folder: Path) -> None:
    say(f"fetching the kernel {package}")
    run("apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", package, cwd=folder, timeout_s=600)
    archive = next(folder.glob("*.deb"))
    run("dpkg-deb", "-x", archive, folder)
    archive.unlink()


def first_root(kernel_folder: Path) -> Path:
    """Return the initramfs, which mounts the disk and goes on there."""
    key = cache.digest([kernel_folder.name, _FIRST_INIT, *_BOOT_MODULES])
    return cache.entry("vm-initramfs", key, lambda folder: _make_first_root(kernel_folder, folder)) / "initramfs"


def _make_first_root(kernel_folder: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name in ("bin", "dev", "proc", "sys", "modules"):
            (root / name).mkdir()
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for module in _BOOT_MODULES:
            shutil.copy(next(kernel_folder.glob(f"**/{module}.ko")), root / "modules" / f"{module}.ko")
        (root / "init").write_text(_FIRST_INIT.format(modules=" ".join(_BOOT_MODULES)))
        (root / "init").chmod(0o755)
        names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        run("cpio", "-o", "-H", "newc", "--quiet", "-F", folder / "initramfs", given=names, cwd=root)


def disk(kernel_folder: Path) -> Path:
    """Return the squashfs with Debian, the kernel's modules and the locked Python packages."""
    locked = (_REPOSITORY / "requirements/dev.txt").read_text()
    key = cache.digest([kernel_folder.name, _GUEST_INIT, locked, *IN_GUEST])
    return cache.entry("vm-disk", key, lambda folder: _make_disk(kernel_folder, locked, folder)) / "disk"


def _make_disk(kernel_folder: Path, locked: str, folder: Path) -> None:
    say("making the virtual machine's disk (about 3 min)")
    root = folder / "root"
    run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(IN_GUEST)}", "bookworm", root, timeout_s=900)
    requirements = folder / "requirements.txt"
    requirements.write_text(without(locked, _UNNEEDED))
    install = ("-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "--python-version", "3.11")
    run("python3", *install, "--target", root / "site", "-r", requirements, timeout_s=900)
    shutil.copytree(next((kernel_folder / "lib/modules").iterdir()), root / "lib/modules" / kernel_folder.name.removeprefix("linux-image-"))
    run("depmod", "-b", root, kernel_folder.name.removeprefix("linux-image-"))
    (root / "guest-init").write_text(_GUEST_INIT)
    (root / "guest-init").chmod(0o755)
    run("mksquashfs", root, folder / "disk", "-comp", "zstd", "-quiet", "-no-progress", timeout_s=900)
    shutil.rmtree(root)


def without(locked: str, names: tuple[str, ...]) -> str:
    """Return a lock file's text without the entries of these packages."""
    kept, keep = list[str](), True
    for line in locked.splitlines():
        if line and not line.startswith((" ", "#")):
            keep = line.split("==")[0] not in names
        if keep:
            kept.append(line)
    return "\n".join(kept) + "\n"


def project(target: Path, arguments: list[str]) -> None:
    """Write the repository's sources, and pytest's arguments, as the tar archive that the guest unpacks."""
    with tarfile.open(target, "w") as archive:
        for name in _SHIPPED:
            archive.add(_REPOSITORY / name, name, filter=lambda entry: None if "__pycache__" in entry.name else entry)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(" ".join(arguments))
            file.flush()
            archive.add(file.name, "arguments")
