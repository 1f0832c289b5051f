"""In which waves a rollout reaches nodes: canaries first, then the others, never more at once than maxUnavailable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Protocol, TypeVar

from proxyconfig_api.spec.rollout import Canary, Rollout


class Candidate(Protocol):
    """A node that is to get the revision."""

    @property
    def name(self) -> str: ...

    @property
    def group(self) -> str:
        """Its value of spec.rollout.topologyKey."""

    @property
    def canary(self) -> bool:
        """Whether spec.rollout.canary.selector matches it."""


C = TypeVar("C", bound=Candidate)


def limit_of(rollout: Rollout, total: int) -> int:
    """How many of `total` nodes may be changing at once."""
    return max(1, rollout.max_unavailable.of(total))


def least_s(waves: int, rollout: Rollout) -> float:
    """The shortest time that so many waves take."""
    return waves * float(rollout.hold_period)


def waves_of(ranked: Sequence[C], rollout: Rollout, *, total: int, given: int = 0) -> tuple[tuple[C, ...], ...]:
    """The waves of `ranked`, nodes in the order of their change; `given` of `total` nodes have the revision already.

    A wave has adjacent nodes of one group alone."""
    first, limit = _canaries(ranked, rollout.canary, total=total, given=given), limit_of(rollout, total)
    chosen = {each.name for each in first}
    return (*_split(first, limit), *_split([each for each in ranked if each.name not in chosen], limit))


def _canaries(ranked: Sequence[C], canary: Canary, *, total: int, given: int) -> Sequence[C]:
    if canary.selector is not None:
        return [each for each in ranked if each.canary] or ranked[: 0 if given else 1]
    return ranked[: max(0, (1 if canary.nodes is None else canary.nodes.of(total)) - given)]


def _split(ranked: Sequence[C], limit: int) -> Iterator[tuple[C, ...]]:
    for _, group in groupby(ranked, key=lambda each: each.group):
        members = tuple(group)
        yield from (members[start : start + limit] for start in range(0, len(members), limit))
