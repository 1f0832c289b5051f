"""The command line's table of kube-proxy's fields is that of the real kube-proxy: its Go types, its flags, its defaults."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.cluster import binaries, golang
from tests.cluster.command import run

from proxyconfig_cli.kubeproxy.configuration import parse
from proxyconfig_cli.kubeproxy.fields import BY_PATH, FIELDS, PROCESS_FLAGS

pytestmark = pytest.mark.apiserver

TYPES = (
    ("k8s.io/kube-proxy", "config/v1alpha1/types.go"),
    ("k8s.io/component-base", "config/v1alpha1/types.go"),
    ("k8s.io/component-base", "logs/api/v1/types.go"),
)
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
MEMBER = re.compile(r'^\t(?:\w+ )?(\S+)\s+`json:"(\w*)(?:,\w+)?"`', re.MULTILINE)

Structs = Mapping[str, list[tuple[str, str]]]
"""Go types and names in JSON of the members of each struct; an embedded one has no name."""


@pytest.fixture(scope="module")
def structs() -> Structs:
    """From the modules that our kube-proxy is built from."""
    found: dict[str, list[tuple[str, str]]] = {}
    for module, file in TYPES:
        text = re.sub(r"^(\t\w+)\s+", r"\1 ", (_folder(module) / file).read_text(), flags=re.MULTILINE)
        found |= {name: MEMBER.findall(body) for name, body in STRUCT.findall(text)}
    return found


def _folder(module: str) -> Path:
    go = golang.toolchain()
    command = [str(go.program), "mod", "download", "-json", module]
    done = subprocess.run(command, cwd=binaries.MODULES / "kubernetes", env=go.environment(), capture_output=True, check=True)
    return Path(json.loads(done.stdout)["Dir"])


def fields(structs: Structs, struct: str, above: str = "") -> Iterator[tuple[str, str]]:
    """Paths and Go types of all leaves below a struct."""
    for kind, name in structs[struct]:
        inner = kind.lstrip("*").rpartition(".")[2]
        below = f"{above}{name}." if name else above
        if structs.get(inner):
            yield from fields(structs, inner, below)
        elif name:
            yield above + name, kind


def test_every_field_of_the_real_type_is_in_the_table(structs: Structs) -> None:
    found = dict(fields(structs, "KubeProxyConfiguration"))
    assert len(found) > 50
    assert sorted(found) == sorted(BY_PATH)
    assert {path for path, kind in found.items() if kind.startswith("*")} == {field.path for field in FIELDS if field.optional}


@pytest.fixture(scope="module")
def kube_proxy() -> Path:
    return binaries.ensure("kubernetes")["kube-proxy"]


def test_every_flag_of_the_real_program_is_in_the_table(kube_proxy: Path) -> None:
    listed = re.findall(r"^ +(-v|--[\w-]+|-h)(?:[, ]|$)", run(kube_proxy, "--help"), re.MULTILINE)
    hidden = {"--healthz-port", "--metrics-port"}  # deprecated: help does not show them
    ours = {field.flag for field in FIELDS if field.flag} | PROCESS_FLAGS.keys()
    assert {*listed, *hidden} - {"-h", "--config"} == ours


def test_the_defaults_of_the_table_are_those_of_the_real_program(kube_proxy: Path, tmp_path: Path) -> None:
    written = tmp_path / "defaults.yaml"
    run(kube_proxy, "--write-config-to", written)
    configuration = parse(written.read_text(), "defaults")
    assert not configuration.changed()
    assert not configuration.unknown
    unset = {field.path for field in FIELDS if field.default not in ("", 0, "0", "0s", False, (), {})} - configuration.values.keys()
    of_other_modes = {"ipvs.syncPeriod", "nftables.syncPeriod", "nftables.minSyncPeriod"}
    assert unset == of_other_modes  # kube-proxy writes the periods of its mode alone
