"""The single file that `make cli` makes: both programs, by the name under which it is called, as a link gives it one."""

from __future__ import annotations

import sys
from pathlib import Path

from proxyconfig_cli.app import completion, main

COMPLETION = "kubectl_complete-proxyconfig"


def run() -> None:
    (completion if Path(sys.argv[0]).name == COMPLETION else main).run()
