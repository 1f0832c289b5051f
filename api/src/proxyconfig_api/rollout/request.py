"""What a rollout is about (pure)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from proxyconfig_api.rollout.release import Release
from proxyconfig_api.spec.rollout import Rollout

Fits = Callable[[str, str], bool]
"""Whether a revision, the first, can run in pods of a pod revision, the second; False where that is not known."""


def _anything_fits(_revision: str, _pod_revision: str) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Request:
    release: Release
    """The one that the spec asks for."""
    settings: Rollout
    follow: bool = True
    """Whether nodes may get another revision than they have: the spec is valid and not paused."""
    retry: str = ""
    """The value of the annotation that starts a failed rollout again."""
    known: Collection[str] = ()
    """The revisions that there are to go back to, of both kinds."""
    fits: Fits = _anything_fits
