"""Cases put to the clients: as many at the same time as are independent of each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tests.support.netns.peers import Answers, Prober
from tests.support.scenarios.cases import Case
from tests.support.scenarios.scenario import Result


def asked(cases: Iterable[Case], probers: Mapping[str, Prober], result: Callable[[Case], Result]) -> Iterator[tuple[Case, Answers]]:
    """The answers of all cases, of which `result` is expected. Each client asks its questions at the same time; then one by one those
    that meet an affinity: of two first connections at the same time, to two addresses of a Service, each may go to another endpoint."""
    together: dict[str, list[Case]] = {}
    sticky: dict[str, list[Case]] = {}
    for case in cases:
        (sticky if result(case).sticky else together).setdefault(case.space, []).append(case)
    yield from _asked(together, probers, result)
    for several in itertools.zip_longest(*sticky.values()):
        yield from _asked({case.space: [case] for case in several if case is not None}, probers, result)


def _asked(
    by_space: Mapping[str, Sequence[Case]], probers: Mapping[str, Prober], result: Callable[[Case], Result]
) -> Iterator[tuple[Case, Answers]]:
    for space, members in by_space.items():
        probers[space].send([case.flow(result(case)) for case in members])
    for space, members in by_space.items():
        yield from zip(members, probers[space].receive(), strict=True)
