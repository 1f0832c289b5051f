"""The revisions of a ProxyConfig: what its nodes ran, and which fields of the spec differ from one to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from proxyconfig_api.objects.metadata import Metadata
from proxyconfig_api.objects.names import POD_REVISION_LABEL
from proxyconfig_api.objects.nodeproxy import NodeProxy
from proxyconfig_api.spec.changes import changed

COMPONENT_LABEL, COMPONENT, POD_COMPONENT = "app.kubernetes.io/component", "revision", "pod-template"
"""Of our ControllerRevisions, as the operator makes them: of what a node does, and of the agents' pods."""


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """A ControllerRevision. `data.spec` has what differs from the defaults of a ProxyConfig; for pods: in the section agent."""

    metadata: Metadata
    revision: int
    data: Mapping[str, Any] = {}

    @property
    def spec(self) -> Mapping[str, Any]:
        spec: Mapping[str, Any] = self.data.get("spec", {})
        return spec

    @property
    def pod_revision(self) -> str:
        """The name of the pods' template; empty for a revision of what a node does."""
        labels = self.data.get("template", {}).get("metadata", {}).get("labels", {})
        return str(labels.get(POD_REVISION_LABEL, ""))


@dataclass(frozen=True, slots=True)
class Entry:
    """`nodes`: how many run it; `changes`: paths that differ from the revision before, sorted."""

    revision: Revision
    nodes: int
    changes: tuple[str, ...]


def entries(revisions: Iterable[Revision], proxies: Iterable[NodeProxy]) -> tuple[Entry, ...]:
    """The oldest first."""
    running = [proxy.status.observed_revision for proxy in proxies]
    ordered = sorted(revisions, key=lambda each: each.revision)
    before: list[Mapping[str, Any]] = [{}, *(each.spec for each in ordered)]
    return tuple(
        Entry(each, running.count(each.metadata.name), changed(earlier, each.spec)) for earlier, each in zip(before, ordered, strict=False)
    )
