"""The programs that answer and ask inside pods find all modules that they import."""

from __future__ import annotations

import ast

from tests.e2e.workload import PROGRAMS, SOURCES

PACKAGE = "tests.support.netns"


def test_pods_have_every_module_that_their_programs_import() -> None:
    trees = [ast.parse((SOURCES / name).read_text()) for name in PROGRAMS]
    imports = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]

    assert {f"{alias.name}.py" for node in imports if node.module == PACKAGE for alias in node.names} <= set(PROGRAMS)
    assert not [node.module for node in imports if str(node.module).startswith(f"{PACKAGE}.")]
