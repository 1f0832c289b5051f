"""Which of the nodes that have to change may change now. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from proxyconfig_api.rollout import Canary
from proxyconfig_operator.rollout.member import Member

BATCH = 250
"""Nodes per pass outside of waves: about what an API server takes in a second, so that status tells of progress in between."""

T = TypeVar("T")
Wave = tuple[Member, ...]


def admit(behind: Sequence[T]) -> tuple[Sequence[T], bool]:
    """The first of `behind` that may change in this pass, and whether some are left for the next one."""
    return behind[:BATCH], len(behind) > BATCH


def waves_of(candidates: Sequence[Member], canary: Canary, *, limit: int, total: int, given: int, previous: str) -> tuple[Wave, ...]:
    """In which waves `candidates` get the revision that `given` of `total` nodes have: canaries first, at most `limit` in a wave.

    A wave has nodes of one group alone. Nodes that do not have the `previous` revision, which is known to be good, come first.
    """
    ranked = sorted(candidates, key=lambda each: (each.revision == previous, each.group, each.name))
    first = _canaries(ranked, canary, total=total, given=given)
    chosen = {each.name for each in first}
    return (*_split(first, limit), *_split([each for each in ranked if each.name not in chosen], limit))


def _canaries(ranked: Sequence[Member], canary: Canary, *, total: int, given: int) -> Sequence[Member]:
    if canary.selector is not None:
        return [each for each in ranked if each.canary] or ranked[: 0 if given else 1]
    return ranked[: max(0, (1 if canary.nodes is None else canary.nodes.of(total)) - given)]


def _split(ranked: Sequence[Member], limit: int) -> Iterator[Wave]:
    for _, group in groupby(ranked, key=lambda each: each.group):
        members = tuple(group)
        yield from (members[start : start + limit] for start in range(0, len(members), limit))
