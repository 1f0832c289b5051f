"""Container images without a registry: a base made by mmdebstrap, small test images on it, and the product's own by buildah.

Archives are kept in the cache by the content that they were made from, and imported into each node's containerd.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster import binaries, cache, golang
from tests.cluster.command import run
from tests.cluster.progress import say

BASE = "localhost/base:local"
PAUSE = "localhost/pause:local"
DNS = "localhost/coredns:local"
WEB = "localhost/web:local"

FORMAT = "2"  # of the archives: another one, other names in the cache
SUITE = "bookworm"
PACKAGES = ("ca-certificates", "iproute2", "python3", "python3-pip", "python3-venv")
_WEB_PROGRAMS = tuple(Path(__file__).parent / name for name in ("web.py", "fetch.py"))
_NOT_NEEDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True, slots=True)
class Image:
    """One image of an archive: a name, the layers below each other, and what it runs."""

    name: str
    layers: tuple[Path, ...]
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})


def base() -> Path:
    """Return the base image as an archive: Debian with Python, from which the Dockerfiles can build. About 30 s the first time."""
    return cache.entry("images", f"base-{cache.digest((FORMAT, SUITE, *PACKAGES, *_NOT_NEEDED))}", _make_base) / "image.tar"


def testing() -> Path:
    """Return one archive with everything a cluster itself needs: pause, DNS, the web server of tests."""
    base()
    root = base().with_name("root.tar")
    dns = binaries.ensure("coredns")["coredns"]
    key = cache.digest((str(root), str(dns), *(program.read_bytes() for program in _WEB_PROGRAMS)))

    def make(folder: Path) -> None:
        dns_layer = _layer(folder / "dns.tar", {"coredns": dns})
        web_layer = _layer(folder / "web.tar", {program.name: program for program in _WEB_PROGRAMS})
        images = [
            Image(BASE, (root,)),
            Image(PAUSE, (root,), ("/usr/bin/sleep", "infinity")),
            Image(DNS, (dns_layer,), ("/coredns",)),
            Image(WEB, (root, web_layer), ("/usr/bin/python3", "-u", "/web.py")),
        ]
        archive(folder / "image.tar", images)
        dns_layer.unlink()
        web_layer.unlink()

    return cache.entry("images", f"testing-{key}", make) / "image.tar"


def _make_base(folder: Path) -> None:
    say(f"making the base image with mmdebstrap ({SUITE}, {', '.join(PACKAGES)}): about half a minute")
    options = [f"--dpkgopt=path-exclude={path}" for path in _NOT_NEEDED]
    root = folder / "root.tar"
    advice = "mmdebstrap must reach a Debian mirror; http_proxy is respected."
    run("mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", *options, SUITE, root, timeout_s=900, advice=advice)
    archive(folder / "image.tar", [Image(BASE, (root,), ("/bin/bash",))])


def _layer(path: Path, files: Mapping[str, Path]) -> Path:
    """Write a layer with these programs."""
    with tarfile.open(path, "w") as layer:
        for name, source in files.items():
            content = source.read_bytes()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            layer.addfile(member, io.BytesIO(content))
    return path


def archive(path: Path, images: Sequence[Image]) -> None:
    """Write images into one archive of docker's format; layers that they share are in it once."""
    digests = {layer: _digest_of(layer) for image in images for layer in image.layers}
    architecture = golang.toolchain().architecture
    manifest: list[dict[str, Any]] = []
    with tarfile.open(path, "w") as out:
        for layer, digest in digests.items():
            out.add(layer, f"{digest}.tar")
        for image in images:
            config = json.dumps(_config(image, [digests[layer] for layer in image.layers], architecture)).encode()
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            _add(out, name, config)
            manifest.append({"Config": name, "RepoTags": [image.name], "Layers": [f"{digests[layer]}.tar" for layer in image.layers]})
        _add(out, "manifest.json", json.dumps(manifest).encode())


def _config(image: Image, digests: Sequence[str], architecture: str) -> dict[str, Any]:
    runs = {"Cmd": list(image.command), "Env": [f"{name}={value}" for name, value in image.environment.items()]}
    layers = {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]}
    history = [{"created_by": "tests/cluster"} for _ in digests]  # buildah wants one entry per layer
    return {"architecture": architecture, "os": "linux", "config": runs, "rootfs": layers, "history": history}


def _add(out: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    out.addfile(member, io.BytesIO(content))


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
