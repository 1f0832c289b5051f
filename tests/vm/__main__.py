"""Run tests under another kernel: `python -m tests.vm [PYTEST ARGUMENTS]`, by default the nftables mode's kernel tests.

The kernel is Debian's own (6.1), booted under qemu without hardware help, so it runs on any machine and is slow.
"""

from __future__ import annotations

import sys

from tests.cluster.errors import ClusterError
from tests.vm.machine import run


def main() -> int:
    try:
        return run(sys.argv[1:] or ["tests/kernel/nftables", "-m", "kernel"])
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1


sys.exit(main())
