"""Each package declares what it imports, no more and no less, and starts with nothing else installed."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.cluster import packages

ROOT = Path(__file__).parents[3]
PACKAGES = ("api", "client", "operator", "agent", "cli")
DISTRIBUTIONS = metadata.packages_distributions()
NEEDS_IPTABLES = pytest.mark.skipif(
    "iptables" in packages.missing(),
    reason="python-iptables looks for the extensions of iptables, which is not on this machine: `apt-get install iptables`, or `make test`",
)
IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
"""


def declared(package: str) -> set[str]:
    project = tomllib.loads((ROOT / package / "pyproject.toml").read_text())["project"]
    return {canonicalize_name(Requirement(each).name) for each in project["dependencies"]}


def imported(package: str) -> set[str]:
    """The distributions of all modules that its sources import, wherever they do."""
    trees = [ast.parse(file.read_text()) for file in (ROOT / package / "src").rglob("*.py")]
    modules = {module.partition(".")[0] for tree in trees for module in _imports(tree)}
    foreign = modules - sys.stdlib_module_names - {f"proxyconfig_{package}"}
    return {canonicalize_name(name) for module in foreign for name in DISTRIBUTIONS.get(module, [module])}


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_declares_exactly_what_it_imports(package: str) -> None:
    assert declared(package) == imported(package)


@pytest.mark.parametrize(("package", "lock"), [("agent", "agent.txt"), ("operator", "operator.txt"), ("cli", "cli.txt")])
def test_what_is_installed_from_a_lock_has_all_that_its_packages_declare(package: str, lock: str) -> None:
    lines = (ROOT / "requirements" / lock).read_text().splitlines()
    locked = {canonicalize_name(line.partition("==")[0]) for line in lines if "==" in line}
    ours = {f"proxyconfig-{each}" for each in PACKAGES}
    assert (declared("api") | declared("client") | declared(package)) - ours <= locked


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels of all packages."""
    folder = tmp_path_factory.mktemp("wheels")
    options = ("--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check", "--no-cache-dir")
    sources = [str(ROOT / package) for package in PACKAGES]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), *sources], check=True)
    return folder


@pytest.mark.parametrize("package", [pytest.param(each, marks=NEEDS_IPTABLES) if each == "agent" else each for each in PACKAGES])
def test_a_package_can_be_imported_with_what_its_wheel_requires_and_nothing_else(package: str, wheels: Path, tmp_path: Path) -> None:
    """As after `pip install` of its wheel: without the site-packages of this environment, where everything is."""
    _install(package, wheels, tmp_path)
    command = [sys.executable, "-S", "-I", "-W", "ignore", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}){IMPORT_ALL}"]
    done = subprocess.run([*command, f"proxyconfig_{package}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_command_line_is_one_file_that_starts_without_this_environment(wheels: Path, tmp_path: Path) -> None:
    """As `make cli` makes it. Libraries in C cannot be loaded from a zip file: shiv unpacks them when it first starts."""
    site, program = tmp_path / "site", tmp_path / "kubectl-proxyconfig"
    site.mkdir()
    _install("cli", wheels, site)
    shiv = [sys.executable, "-m", "shiv.cli", "--site-packages", str(site), "--entry-point", "proxyconfig_cli.app.single:run"]
    subprocess.run([*shiv, "--python", f"{sys.executable} -I", "--output-file", str(program)], check=True, capture_output=True)
    shutil.rmtree(site)
    completion = program.with_name("kubectl_complete-proxyconfig")
    completion.symlink_to(program.name)
    assert "mode: ipvs" in _printed(program, "import", "--from", "flags", "--", "--proxy-mode=ipvs")
    assert _printed(completion, "rollout", "hist") == "history\twhat there was before\n:4\n"


def _printed(program: Path, *words: str) -> str:
    environment = {"SHIV_ROOT": str(program.with_name("root")), "PATH": "/nowhere"}
    done = subprocess.run([str(program), *words], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def _install(package: str, wheels: Path, site: Path) -> None:
    for name in _required(f"proxyconfig-{package}", set()):
        if name.startswith("proxyconfig-"):
            (wheel,) = wheels.glob(f"{name.replace('-', '_')}-*.whl")
            zipfile.ZipFile(wheel).extractall(site)
        else:
            _link(name, site)


def _required(name: str, seen: set[str]) -> set[str]:
    """Itself and all that it requires on this machine, directly or not."""
    seen.add(name)
    for each in map(Requirement, _requires(name)):
        if canonicalize_name(each.name) not in seen and (each.marker is None or each.marker.evaluate({"extra": ""})):
            _required(canonicalize_name(each.name), seen)
    return seen


def _requires(name: str) -> list[str]:
    """Ours from the sources: the environment's editable installs may be older."""
    return sorted(declared(name.removeprefix("proxyconfig-"))) if name.startswith("proxyconfig-") else metadata.requires(name) or []


def _link(name: str, site: Path) -> None:
    """Make a distribution of this environment importable from `site`."""
    for top in {file.parts[0] for file in metadata.files(name) or []} - {"..", "__pycache__"}:
        found = Path(str(metadata.distribution(name).locate_file(top)))
        if found.exists() and not (site / top).exists():
            (site / top).symlink_to(found)
