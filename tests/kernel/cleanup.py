"""`--cleanup` on a node by a fork of this process: a new one computes longest for modules that are imported here already.

`tests/kernel/iptables_port/test_cleanup.py` runs the command itself."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from tests.support.netns.namespace import Namespace, enter

from proxyconfig_agent.app import cleanup


def clean_up(node: Namespace) -> str:
    """What it prints. Raises AssertionError where anything is left."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork"), initializer=enter, initargs=(node.path,)) as fork:
        status, printed = fork.submit(_clean_up).result()
    assert status == 0, printed
    return printed


def _clean_up() -> tuple[int, str]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        return cleanup.clean_up(None), printed.getvalue()
