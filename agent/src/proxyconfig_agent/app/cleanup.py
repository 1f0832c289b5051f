"""`--cleanup`: takes away what an agent made on this node, and proves it by a scan."""

from __future__ import annotations

import contextlib
import sys

from proxyconfig_agent.app import instance_lock
from proxyconfig_agent.dataplane.modes import built
from proxyconfig_agent.node.host import Host


def clean_up() -> int:
    """Remove all that an agent ever made on this node, print what a scan still finds, and return the exit status.

    Raises DataplaneError or OSError."""
    held = instance_lock.try_acquire()
    if held is None:
        sys.stderr.write("an agent runs in this network namespace and would make everything again: stop it first\n")
        return 1
    with held:
        left = list(dict.fromkeys(_removed()))
        findings = Host().restore()
    for line in (*left, *(finding.message for finding in findings)):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{len(left)} kernel objects of proxyconfig are left\n")
    return 1 if left else 0


def _removed() -> list[str]:
    """What is left of any mode after its removal."""
    left: list[str] = []
    for spec in built():
        for dataplane in spec.left_behind():
            with contextlib.closing(dataplane):
                dataplane.remove()
                left += [*dataplane.scan(), *spec.remains()]
    return left
