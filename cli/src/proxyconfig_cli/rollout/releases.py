"""What the releases of a ProxyConfig were made of, and the one that the operator will ask for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from proxyconfig_api.objects.revision import revision_of, written
from proxyconfig_api.rollout.release import Release
from proxyconfig_api.spec.changes import changes_of
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_api.values.disruption import Disruption
from proxyconfig_cli.rollout.history import Revision

NEW_PODS = "new"
"""In the place of a pod revision that is not known: the operator makes it of a template that only it has."""


class Releases:
    """`revisions` of both kinds; a release of which they have nothing was made of `before`."""

    def __init__(self, config: str, before: ProxyConfigSpec, revisions: Iterable[Revision]) -> None:
        self._config = config
        self._before = _node_part(config, before)
        every = tuple(revisions)
        self._specs = {each.metadata.name: each.spec for each in every if not each.pod_revision}
        self._agents = {each.pod_revision: each.spec.get("agent", {}) for each in every if each.pod_revision}

    @property
    def known(self) -> frozenset[str]:
        """The revisions that there are to go back to, of both kinds."""
        return frozenset(self._specs) | frozenset(self._agents)

    def asked_by(self, spec: ProxyConfigSpec, held: Iterable[Release]) -> Release:
        """The release of `spec`. Its pods are those of the first of `held` from which no change replaces pods."""
        after = _node_part(self._config, spec)
        pods = (each.pod_revision for each in held if each and not _replaces_pods(self._made_of(each), after))
        return Release(revision_of(self._config, spec).name, next(pods, NEW_PODS))

    def _made_of(self, release: Release) -> dict[str, Any]:
        agent = self._agents.get(release.pod_revision, self._before["agent"])
        return {**self._specs.get(release.revision, self._before), "agent": agent}


def _node_part(config: str, spec: ProxyConfigSpec) -> dict[str, Any]:
    """Of a spec, what nodes and pods are made of."""
    return {**revision_of(config, spec).spec, "agent": written(spec.agent)}


def _replaces_pods(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    return any(each.disruption is Disruption.RESTARTS_AGENTS for each in changes_of(before, after))
