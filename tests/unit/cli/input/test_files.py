"""Files as editors and shells write them, and as they should not be: each is read, or is one sentence that names it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.unit.cli.apiserver import serving
from tests.unit.cli.page import SPEC, cluster, proxyconfig

from proxyconfig_cli.app.main import main

PROXYCONFIG = yaml.safe_dump(proxyconfig(SPEC))
COMMANDS = {
    "plan -f FILE": PROXYCONFIG,
    "preflight -f FILE": PROXYCONFIG,
    "takeover start -f FILE": yaml.safe_dump(proxyconfig({**SPEC, "rollout": {"holdPeriod": "0s"}})),
    "import --from file -f FILE": "mode: ipvs",
    "preflight --kube-proxy FILE": "mode: ipvs",
}
"""Those that take a file, with the content of one."""


def run(folder: Path, words: str, content: bytes) -> Result:
    file = folder / "file.yaml"
    file.write_bytes(content)
    with serving(cluster(), folder) as kubeconfig:
        return CliRunner().invoke(main, [*words.replace("FILE", str(file)).split(), "--kubeconfig", str(kubeconfig)])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("words", COMMANDS)
def test_a_file_of_an_editor_or_of_powershell_is_read(tmp_path: Path, words: str, encoding: str) -> None:
    result = run(tmp_path, words, COMMANDS[words].encode(encoding))
    assert "Error: " not in result.stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xfc: 1", "is not UTF-8, from byte 0 on: save it as UTF-8"),
        (b"\xff\xfe\x00", "is not UTF-8, from byte 2 on: save it as UTF-8"),
        (b"", "is empty"),
        (b"# nothing\n---\n", "is empty"),
        (b"a: 1\n---\nb: 2\n", "has several documents: give one"),
        (b"a: b: c", "must be YAML or JSON: line 1, column 5: mapping values are not allowed here"),
    ],
)
@pytest.mark.parametrize("words", COMMANDS)
def test_a_file_that_cannot_be_read_is_named_with_the_fix(tmp_path: Path, words: str, content: bytes, sentence: str) -> None:
    result = run(tmp_path, words, content)
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path / 'file.yaml'}: {sentence}\n")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"spec": None}, "spec: must be a mapping, not null"),
        ({"metadata": {}}, "metadata.name: must be there: add it"),
        ({"spec": {"rollout": {"paused": "yes"}}}, "spec.rollout.paused: must be true or false, not 'yes'"),
        ({"spec": {"conntrack": {"min": -1}}}, "spec.conntrack.min: must be a whole number of at least 0, not -1"),
        ({"spec": {"nodePorts": {"addresses": 5}}}, "spec.nodePorts.addresses: "),
        ({"kind": "ConfigMap"}, "must be a ProxyConfig: kind is ConfigMap"),
        ({"apiVersion": "v1"}, "apiVersion must be proxyconfig.dev/v1alpha1, not v1"),
    ],
)
@pytest.mark.parametrize("words", [words for words, content in COMMANDS.items() if "kind" in content])
def test_a_proxyconfig_that_is_wrong_names_file_field_and_value(
    tmp_path: Path, words: str, change: dict[str, object], sentence: str
) -> None:
    result = run(tmp_path, words, yaml.safe_dump({**proxyconfig(SPEC), **change}).encode())
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {tmp_path / 'file.yaml'}: {sentence}")
    assert result.stderr.count("\n") == 1


def test_a_missing_section_is_named() -> None:
    content = "{apiVersion: proxyconfig.dev/v1alpha1, kind: ProxyConfig, metadata: {name: x}}"
    result = CliRunner().invoke(main, ["plan", "-f", "-"], input=content)
    assert (result.exit_code, result.stderr) == (1, "Error: standard input: spec: must be there: add it\n")


def test_an_empty_standard_input_is_named() -> None:
    """As behind a pipe whose first command has failed."""
    result = CliRunner().invoke(main, ["plan", "-f", "-"], input="")
    assert (result.exit_code, result.stderr) == (1, "Error: standard input: is empty\n")
