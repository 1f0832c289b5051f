"""The spec of a ProxyConfig as an older revision has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from proxyconfig_api.encoding import codec
from proxyconfig_api.encoding.errors import InvalidSpec, Problem
from proxyconfig_api.objects.revision import NOT_OF_NODES, revision_of
from proxyconfig_api.spec.changes import changed
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_cli.rollout.history import Revision

GITOPS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
"""Labels and annotations of objects that come from Git, and by which program."""

_KEPT = frozenset(field.encode_name for field in msgspec.structs.fields(ProxyConfigSpec) if field.name in NOT_OF_NODES)


def target(revisions: Iterable[Revision], number: int, current: str = "", good: str = "") -> Revision:
    """The revision `number`; for 0, the one before `current`: `good`, the last one whose rollout was complete, as a newer one has failed;
    the newest where that is not known. Raises InvalidSpec."""
    known = sorted(revisions, key=lambda each: -each.revision)
    numbers = ", ".join(str(each.revision) for each in reversed(known)) or "none"
    earlier = sorted((each for each in known if each.metadata.name != current), key=lambda each: each.metadata.name != good)
    for each in known if number else earlier:
        if number in (0, each.revision):
            return each
    fix = f"there is no revision {number}, only {numbers}" if number else f"there is no earlier revision to go back to, only {numbers}"
    raise InvalidSpec([Problem("--to-revision", fix)])


def undone(spec: Mapping[str, Any], revision: Revision) -> dict[str, Any]:
    """`spec` with the node's part of `revision`; which nodes, in which steps and by which pods stays as it is."""
    return {name: value for name, value in spec.items() if name in _KEPT} | dict(revision.spec)


def changes(name: str, spec: Mapping[str, Any], revision: Revision) -> tuple[str, ...]:
    """The fields of the ProxyConfig `name` that an undo changes: what is written as its default is not there in a revision."""
    return changed(revision_of(name, codec.decode(spec, ProxyConfigSpec, "spec")).spec, revision.spec)


def owner(metadata: Mapping[str, Any]) -> str:
    """The program that would write the object again from Git; empty if none is known to."""
    marks = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
    return next((program for mark, program in GITOPS.items() if mark in marks), "")
