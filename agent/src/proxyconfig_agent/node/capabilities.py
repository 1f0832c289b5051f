"""What this node can do, as words for `kubectl describe nodeproxy`."""

from __future__ import annotations

import os
from collections.abc import Mapping


def of(probed: Mapping[str, str]) -> dict[str, str]:
    """The kernel and the machine, and the features of the mode as its probe found them, by name."""
    system = os.uname()
    return {
        "kernel": system.release,
        "architecture": system.machine,
        "cores": str(cores()),
        **{name: probed[name] for name in sorted(probed)},
    }


def cores() -> int:
    """The CPUs of the machine, whatever share of them this process may use: conntrack's limits are the machine's."""
    return os.cpu_count() or 1
