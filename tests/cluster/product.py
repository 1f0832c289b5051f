"""The product's own images, built from its real Dockerfiles by buildah and kept in the cache by what they are made of.

The build uses this machine's pip configuration and certificates: they are mounted while it runs and are in no image.
"""

from __future__ import annotations

import configparser
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster import cache, images
from tests.cluster.command import run
from tests.cluster.progress import say

ROOT = Path(__file__).parents[2]
_KEPT = 4
_LAYERS = 60
_BUILDAH = {"BUILDAH_ISOLATION": "chroot"}
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_PIP_CONFIGURATIONS = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")  # pip's own order: the last one wins


@dataclass(frozen=True, slots=True)
class Product:
    """One image of the product and what it is made of."""

    name: str
    dockerfile: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Built:
    """An image of the product in an archive; other content, other tag, so a change rolls out."""

    image: str
    archive: Path


OPERATOR = Product("proxyconfig-operator", "Dockerfile.operator", ("requirements/operator.txt", "api/src", "client/src", "operator/src"))
AGENT = Product("proxyconfig-agent", "Dockerfile.agent", ("requirements/agent.txt", "api/src", "client/src", "agent/src"))


def built(product: Product) -> Built:
    """Return the image of the sources as they are now; build it if the cache does not have it.

    Raises CommandError with the build's last lines.
    """
    sources = _sources(product)
    tag = cache.digest((str(images.base()), *(part for file in sources.items() for part in file)))
    image = f"localhost/{product.name}:{tag}"
    folder = cache.entry("images", f"{product.name}-{tag}", partial(_build, product, image, sources))
    _forget_old(product)
    return Built(image, folder / "image.tar")


def _sources(product: Product) -> Mapping[str, bytes]:
    """Return the content of every file that the image is made of, read once: sources may change while an image is built."""
    paths = [ROOT / path for path in (product.dockerfile, *product.inputs)]
    files = sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*")))
    return {str(file.relative_to(ROOT)): file.read_bytes() for file in files if file.is_file() and "__pycache__" not in file.parts}


def _build(product: Product, image: str, sources: Mapping[str, bytes], folder: Path) -> None:
    say(f"building {image} from {product.dockerfile}: under a minute")
    with tempfile.TemporaryDirectory(prefix="proxyconfig-build-") as work, cache.locked(cache.root() / ".buildah.lock", "an image"):
        _forget_layers()
        context = Path(work, "context")
        for name, content in sources.items():
            (context / name).parent.mkdir(parents=True, exist_ok=True)
            (context / name).write_bytes(content)
        storage = ("--root", str(cache.root() / "buildah"), "--runroot", f"{work}/run")
        environment = {**os.environ, **_BUILDAH}
        base = run("buildah", *storage, "pull", "--quiet", f"docker-archive:{images.base()}", env=environment, timeout_s=300).split()[-1]
        volumes = [word for source, target in _mounted(Path(work)).items() for word in ("--volume", f"{source}:{target}:ro")]
        build = ("bud", "--quiet", "--layers", "--build-arg", f"BASE={base}", "--file", product.dockerfile, "--tag", image, *volumes)
        advice = "A package index and a Debian mirror must be reachable: the build uses this machine's pip configuration and http_proxy."
        run("buildah", *storage, *build, ".", cwd=context, env=environment, timeout_s=1200, advice=advice)
        target = f"docker-archive:{folder}/image.tar:{image}"
        run("buildah", *storage, "push", "--quiet", image, target, env=environment, timeout_s=300)
        run("buildah", *storage, "rmi", image, env=environment, timeout_s=300)  # the archive is what counts; layers stay for the next build


def _forget_old(product: Product) -> None:
    """Keep the archives of the last few states of the sources: each has hundreds of megabytes."""
    archives = sorted((cache.root() / "images").glob(f"{product.name}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in archives[_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def _forget_layers() -> None:
    """Start anew when layers of many states of the sources have come together: buildah does not tell which of them are of use."""
    store = cache.root() / "buildah"
    if sum(1 for images_of_driver in store.glob("*-images") for _ in images_of_driver.iterdir()) > _LAYERS:
        shutil.rmtree(store, ignore_errors=True)


def _mounted(work: Path) -> Mapping[Path, Path]:
    """Return what of this machine is visible in the build: certificates, pip's configuration, the local folders that it names."""
    settings = _pip_settings()
    configuration = work / "pip.conf"
    merged = configparser.RawConfigParser()
    merged["global"] = settings
    with configuration.open("w") as file:
        merged.write(file)
    places = {Path(word.removeprefix("file://")) for word in settings.get("find-links", "").split() if word.startswith(("/", "file://"))}
    mounted = {configuration: Path("/etc/pip.conf"), **{place: place for place in places if place.exists()}}
    bundle = Path(settings.get("cert") or os.environ.get("SSL_CERT_FILE") or _CERTIFICATES)
    if bundle.exists():
        mounted |= {bundle: _CERTIFICATES} if bundle == _CERTIFICATES else {bundle: bundle}
    return mounted


def _pip_settings() -> dict[str, str]:
    parser = configparser.RawConfigParser()
    parser.read([Path(path).expanduser() for path in _PIP_CONFIGURATIONS])
    settings = {key: value for section in ("global", "install") if parser.has_section(section) for key, value in parser[section].items()}
    variables = {name: value for name, value in os.environ.items() if name.startswith("PIP_") and name != "PIP_CONFIG_FILE"}
    return settings | {name.removeprefix("PIP_").lower().replace("_", "-"): value for name, value in variables.items()}
