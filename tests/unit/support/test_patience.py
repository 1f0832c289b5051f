"""On a slow kernel, tests are ended as much later as their deadlines are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.polling import PATIENCE

ROOT = Path(__file__).parents[3]
TESTS = """
import pytest

def test_as_configured(request):
    print("configured", [mark.args for mark in request.node.iter_markers("timeout")][:1])

@pytest.mark.timeout(20)
def test_marked(request):
    print("marked", [mark.args for mark in request.node.iter_markers("timeout")][:1])
"""


@pytest.mark.parametrize(("times", "configured", "marked"), [("1", "[]", "[(20,)]"), ("4", "[(1200.0,)]", "[(80.0,)]")])
def test_the_time_after_which_a_test_is_ended_is_multiplied_like_deadlines(
    tmp_path: Path, times: str, configured: str, marked: str
) -> None:
    (tmp_path / "test_bounds.py").write_text(TESTS)
    words = ("-q", "-s", "-p", "tests.conftest", "-p", "no:cacheprovider", f"--rootdir={ROOT}", "-c", "pyproject.toml", str(tmp_path))
    run = subprocess.run(
        (sys.executable, "-m", "pytest", *words), cwd=ROOT, env={**os.environ, PATIENCE: times}, capture_output=True, text=True, check=False
    )

    assert {f"configured {configured}", f"marked {marked}"} <= {line.lstrip(".") for line in run.stdout.splitlines()}, run.stdout
