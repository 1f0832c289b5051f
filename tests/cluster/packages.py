"""The distribution's packages that a cluster needs: those that are missing are installed with apt-get, Debian and Ubuntu alike."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.command import run
from tests.cluster.errors import ClusterError, CommandError
from tests.cluster.progress import say

# Package → the program or file whose presence means that it need not be installed.
NEEDED: Mapping[str, str] = {
    "buildah": "buildah",
    "ca-certificates": "/etc/ssl/certs/ca-certificates.crt",
    "conntrack": "conntrack",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "debian-archive-keyring": "/usr/share/keyrings/debian-archive-keyring.gpg",  # Ubuntu lacks it, and the base image is Debian
    "gcc": "gcc",  # python-iptables comes as source only
    "ipset": "ipset",
    "iproute2": "ip",
    "iptables": "iptables",
    "kmod": "modprobe",
    "libc6-dev": "/usr/include/stdio.h",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nftables": "nft",
    "openssl": "openssl",
    "runc": "runc",
    "util-linux": "nsenter",
}
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def ensure(needed: Mapping[str, str] = NEEDED) -> None:
    """Install what is missing of these packages.

    Raises ClusterError if that cannot be done.
    """
    absent = missing(needed)
    if not absent:
        return
    advice = f"Install them with apt-get install {' '.join(absent)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ClusterError(f"packages are missing, and installing them needs root and apt-get. {advice}")
    say(f"installing packages: {' '.join(absent)}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *absent)
    try:
        run(*install, env=quiet, timeout_s=900)
    except CommandError:  # most often: the package lists are missing or old
        run("apt-get", "update", "--quiet", env=quiet, timeout_s=300, advice=advice)
        run(*install, env=quiet, timeout_s=900, advice=advice)


def missing(needed: Mapping[str, str] = NEEDED) -> list[str]:
    """Return the packages that this machine does not have yet."""
    absent = [package for package, sign in needed.items() if not _present(sign)]
    return absent if importlib.util.find_spec("ensurepip") else [*absent, "python3-venv"]


def _present(sign: str) -> bool:
    return Path(sign).exists() if sign.startswith("/") else shutil.which(sign, path=_SYSTEM_PATH) is not None
