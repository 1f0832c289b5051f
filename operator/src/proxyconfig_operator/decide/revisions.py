"""ControllerRevisions: what the nodes of a ProxyConfig shall be on, and why not on what its spec says. Pure.

A revision is immutable and named after its content. Which one is the newest says its number; going back to an earlier spec
gives the earlier object a new number.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from proxyconfig_api.objects import names
from proxyconfig_api.objects.revision import revision_of
from proxyconfig_api.spec import modes
from proxyconfig_operator.model.objects import Config, Revision
from proxyconfig_operator.model.writes import Apply, Delete, Resource

COMPONENT_LABEL, COMPONENT, POD_COMPONENT = "app.kubernetes.io/component", "revision", "pod-template"
"""Tells our ControllerRevisions, of what a node does and of the agents' pods, from those that the DaemonSet controller makes."""


class Verdict(enum.Enum):
    """Whether nodes follow the spec."""

    FOLLOW = "Following"
    PAUSED = "Paused"
    MODE_NOT_AVAILABLE = "ModeNotAvailable"
    INVALID_SPEC = "InvalidSpec"


@dataclass(frozen=True, slots=True)
class Target:
    revision: str
    """The name of the revision that nodes shall have; empty while there is none."""
    verdict: Verdict
    pending: bool
    """Whether the spec asks for another revision than this one."""
    create: Apply | None = None
    """What has to be written first, so that the revision exists and is the newest."""
    problem: str = ""
    """Why the spec cannot be followed: one sentence with the fix."""


def newest_first(revisions: Iterable[Revision]) -> tuple[Revision, ...]:
    return tuple(sorted(revisions, key=lambda each: (-each.revision, each.metadata.name)))


def target_of(config: Config, existing: Iterable[Revision]) -> Target:
    """What the nodes of `config` shall be on, given its revisions."""
    known = newest_first(existing)
    newest = known[0].metadata.name if known else ""
    if config.problem:
        return Target(newest, Verdict.INVALID_SPEC, pending=True, problem=f"{config.problem}; its nodes keep what they have")
    wanted = revision_of(config.name, config.spec)
    if not modes.is_built(config.spec.mode):
        choice = modes.choice()
        problem = f'spec.mode: "{config.spec.mode}" is not available in this version, set {choice}; its nodes keep what they have'
        return Target(newest, Verdict.MODE_NOT_AVAILABLE, pending=True, problem=problem)
    if config.spec.rollout.paused:
        return Target(newest, Verdict.PAUSED, pending=newest != wanted.name)
    missing = None if newest == wanted.name else create(config, wanted.name, wanted.content, known[0].revision + 1 if known else 1)
    return Target(wanted.name, Verdict.FOLLOW, pending=False, create=missing)


def superseded(existing: Iterable[Revision], in_use: Collection[str], limit: int) -> tuple[Delete, ...]:
    """Delete all but those in use and the newest `limit` others."""
    old = [each for each in newest_first(existing) if each.metadata.name not in in_use]
    return tuple(Delete(Resource.REVISION, each.metadata.name, each.metadata.uid) for each in old[limit:])


def create(config: Config, name: str, data: Mapping[str, Any], number: int, component: str = COMPONENT) -> Apply:
    """A ControllerRevision of `config`."""
    return Apply(
        Resource.REVISION,
        name,
        {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": name,
                "labels": {names.CONFIG_LABEL: config.name, COMPONENT_LABEL: component},
                "ownerReferences": [owner(config)],
            },
            "data": data,
            "revision": number,
        },
    )


def owner(config: Config) -> dict[str, Any]:
    """As the controlling owner nobody else adopts the object, and it is garbage-collected after the ProxyConfig."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "ProxyConfig",
        "name": config.name,
        "uid": config.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
