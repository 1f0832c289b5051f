"""Where the real kube-proxy in ipvs mode does something else than is expected of our modes: by reason, from `upstreamipvs.yaml`.

It was tried with all scenarios: all of it takes an hour and a half.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.documents import document
from tests.support.scenarios.cases import Case, Round, rounds_of
from tests.support.scenarios.scenario import load

TABLE = Path(__file__).with_name("upstreamipvs.yaml")
_ID = re.compile(r"(?P<step>[^:]+):(?P<client>[^>]+)->(?P<service>[^.]+)\.(?P<destination>\w+)\[")
_KINDS = ("from", "service", "to")


@dataclass(frozen=True, slots=True)
class Cases:
    """Those of some steps (`row-049`, `row-049.1`), of these clients, Services and kinds of addresses; of all where none is named."""

    steps: frozenset[str]
    only: Mapping[str, frozenset[str]]

    def have(self, case: Case) -> bool:
        found = _ID.match(case.id)
        assert found is not None
        facts = dict(zip(_KINDS, found.group("client", "service", "destination"), strict=True))
        return found["step"] in self.steps and all(facts[kind] in values for kind, values in self.only.items())


@dataclass(frozen=True, slots=True)
class Reason:
    """What kube-proxy does otherwise in ipvs mode, and the cases that show it."""

    because: str
    cases: Sequence[Cases]

    def explains(self, case: Case) -> bool:
        return any(some.have(case) for some in self.cases)


@cache
def reasons() -> tuple[Reason, ...]:
    """All of them, in order."""
    return tuple(Reason(raw["because"], tuple(map(_cases, raw["cases"]))) for raw in document(TABLE))


def because(case: Case) -> str:
    """Why kube-proxy ends this case otherwise; empty if it does not."""
    return next((reason.because for reason in reasons() if reason.explains(case)), "")


@cache
def rounds() -> Sequence[Round]:
    """All that it plays."""
    return rounds_of(load(), mode="ipvs")


@cache
def otherwise() -> Mapping[str, Sequence[Case]]:
    """Every case that kube-proxy ends otherwise, by reason."""
    found: dict[str, list[Case]] = {reason.because: [] for reason in reasons()}
    for case in (case for round_ in rounds() for case in round_.cases):
        if why := because(case):
            found[why].append(case)
    return found


def _cases(raw: Mapping[str, Any]) -> Cases:
    return Cases(frozenset(raw["in"]), {kind: frozenset(raw[kind]) for kind in _KINDS if kind in raw})
