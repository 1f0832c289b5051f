"""What a node is given: a revision of its kernel's state, and one of the agent's pod (pure)."""

from __future__ import annotations

from typing import NamedTuple

from proxyconfig_api.status.rollout import RolloutStatus


class Release(NamedTuple):
    revision: str = ""
    """Empty: the node has none."""
    pod_revision: str = ""
    """Empty: any pod will do, as where an operator that knew no such revisions gave the node its order."""

    def __bool__(self) -> bool:
        return bool(self.revision)


NONE = Release()


def release_of(status: RolloutStatus) -> Release:
    return Release(status.revision, status.pod_revision)


def previous_of(status: RolloutStatus) -> Release:
    """The last one whose rollout was complete."""
    return Release(status.previous_revision, status.previous_pod_revision)
