"""`--cleanup`: takes away what an agent made on this node, and proves it by a scan and by pyroute2, a second pair of eyes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from proxyconfig_agent.app import instance_lock
from proxyconfig_agent.controller.change.change_record import ChangeRecord
from proxyconfig_agent.dataplane.modes.modes import ModeSpec, built
from proxyconfig_agent.dataplane.port import DataplaneError
from proxyconfig_agent.node.host import Host
from proxyconfig_agent.node.inventory import inventory_reader
from proxyconfig_agent.node.inventory.host_findings import LEFT_SYSCTLS, left_by_others, left_by_us, loaded_by_us
from proxyconfig_agent.node.inventory.inventory import Inventory
from proxyconfig_agent.node.modules import module_record
from proxyconfig_agent.node.sysctls.procsys import present
from proxyconfig_agent.state.checkpoint import CheckpointFile


def clean_up(checkpoint: CheckpointFile | None) -> int:
    """Remove all that an agent ever made on this node, print what a scan still finds, and return the exit status.

    Trouble with one mode is printed, and the others are removed. Raises OSError."""
    held = instance_lock.try_acquire()
    if held is None:
        sys.stderr.write("an agent runs in this network namespace and would make everything again: stop it first\n")
        return 1
    with held:
        failed, left = _removed()
        findings = Host().restore()
        if checkpoint is not None:
            checkpoint.delete()
        ChangeRecord().delete()
        sysctls = present(LEFT_SYSCTLS)
    found = _inventory(failed)
    left += [line for line in left_by_us(found) if not any(known.startswith(line) for known in left)]
    for error in failed:
        sys.stderr.write(f"not removed: {error}\n")
    loaded = loaded_by_us(module_record.load().loaded)
    for line in (*left, *left_by_others(found, sysctls), *loaded, *(finding.message for finding in findings)):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{len(left)} kernel objects of proxyconfig are left\n")
    return 1 if failed or left else 0


def _inventory(failed: list[str]) -> Inventory:
    """What is here now; empty, with its error among those that `failed`, if it cannot be read."""
    try:
        return inventory_reader.read()
    except OSError as error:
        failed.append(f"the rest of the network namespace cannot be read: {error.strerror}")
        return Inventory()


def _removed() -> tuple[list[str], list[str]]:
    """Mode by mode; the errors of those that cannot be removed, and what is left of the others, each object once."""
    failed, left = list[str](), dict[str, None]()
    for spec in built():
        try:
            left |= dict.fromkeys(_left(spec))
        except (DataplaneError, OSError) as error:
            failed.append(str(error))
    return failed, list(left)


def _left(spec: ModeSpec) -> Iterator[str]:
    """What is left of one mode after its removal. Raises DataplaneError or OSError."""
    for dataplane in spec.left_behind():
        with contextlib.closing(dataplane):
            dataplane.remove()
            yield from (*dataplane.scan(), *spec.remains())
