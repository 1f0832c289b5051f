"""A rollout in words, for `status.rollout.message` (pure). A failure has those of the node that failed first."""

from __future__ import annotations

from collections.abc import Sequence

from proxyconfig_api.rollout.fleet import Fleet
from proxyconfig_api.rollout.member import Member
from proxyconfig_api.status.messages import node_count


def of(fleet: Fleet, moving: Sequence[Member], *, complete: bool) -> str:
    """What goes on, now that `moving` get the revision."""
    if complete:
        behind = len(fleet.others)
        return f"complete; {node_count(behind)} will get the revision when they are back" if behind else "complete"
    changing = len(moving) or len(fleet.open)
    first = next((each.words for each in fleet.open if each.words), "")
    return f"{node_count(changing)} changing" + (f"; {first}" if first and not moving else "")


def waiting(awaited: Sequence[Member]) -> str:
    """What the next wave waits for."""
    return f"{node_count(len(awaited))} will change when the probe pods are ready"
