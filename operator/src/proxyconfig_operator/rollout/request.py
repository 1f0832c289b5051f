"""What a rollout is about (pure)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from proxyconfig_api.spec.rollout import Rollout
from proxyconfig_operator.rollout.order import Fits
from proxyconfig_operator.rollout.release import Release


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
