"""Files as JSON or YAML."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from proxyconfig_client.connection.document import read
from proxyconfig_client.connection.errors import ConfigurationError

READS = """
import sys
from pathlib import Path
from proxyconfig_client.connection.document import read
print(read(Path(sys.argv[1]), "configuration"), "yaml" in sys.modules)
"""


@pytest.mark.parametrize("text", ['{"a": [1, "b"]}', "a: [1, b]", "# a comment\na:\n- 1\n- b\n", "{a: [1, b]}"])
def test_json_and_yaml_are_read_alike(tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    assert read(tmp_path / "file", "configuration") == {"a": [1, "b"]}


@pytest.mark.parametrize(("text", "loaded"), [('{"a": 1}', False), ("a: 1", True)])
def test_the_yaml_library_is_loaded_for_yaml_alone(tmp_path: Path, text: str, loaded: bool) -> None:
    (tmp_path / "file").write_text(text)
    command = [sys.executable, "-c", READS, str(tmp_path / "file")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == f"{{'a': 1}} {loaded}\n"


def test_a_file_that_is_neither_is_one_sentence_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a: [1,\nb")
    with pytest.raises(ConfigurationError, match=r"^the configuration \S+ is not YAML: .+$"):
        read(tmp_path / "file", "configuration")
