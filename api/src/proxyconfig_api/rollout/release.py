"""What a node is given: a revision of its kernel's state, and one of the agent's pod (pure)."""

from __future__ import annotations

from typing import NamedTuple

from proxyconfig_api.objects.nodeproxy import Action, NodeProxy
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


def given_of(proxy: NodeProxy | None, config: str) -> Release:
    """The release of `config` that a node was given; empty if none."""
    ours = proxy is not None and proxy.spec.config_name == config and proxy.spec.action is Action.APPLY
    return Release(proxy.spec.revision_name, proxy.spec.pod_revision) if proxy is not None and ours else Release()


def goal_of(proxy: NodeProxy | None, config: str) -> Release:
    """The release of `config` that a node is on its way to; the one that it was given where nothing follows that."""
    following = proxy.spec.next if proxy is not None else None
    given = given_of(proxy, config)
    return Release(following.revision_name, following.pod_revision) if given and following is not None else given
