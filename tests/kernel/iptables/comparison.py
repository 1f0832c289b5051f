"""kube-proxy and our agent side by side on the same objects, and what their tables differ in."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.cluster.controlplane import ControlPlane
from tests.kernel.iptables.api import Api, Mark
from tests.kernel.iptables.settings import Setting
from tests.kernel.iptables.sides import Side, agent, kube_proxy, side
from tests.kernel.iptables.tables import Tables, differences, without_hashes
from tests.support.polling import eventually
from tests.support.scenarios.objects import Key
from tests.support.scenarios.scenario import Object

SETTLED_WITHIN_S = 180

_SERVICE = re.compile(r'--comment "?([a-z0-9-]+/[a-z0-9-]+)')


@dataclass(frozen=True, slots=True)
class Result:
    """Of one comparison: how many Services have rules, how many rules there are in both families, and each difference."""

    services: int
    rules: int
    differences: list[str]

    def __str__(self) -> str:
        return f"{self.services} Services, {self.rules} rules, {len(self.differences)} differences"


@dataclass(frozen=True, slots=True)
class Pair:
    """Both of them, with one back end of iptables."""

    theirs: Side
    ours: Side

    def compare(self, mark: Mark, expected: Sequence[str]) -> Result:
        """Once both know all objects, say what differs."""
        found = self._read(mark)
        # Several transactions make up what either knows, what tells that the newest objects are known need not be in the last of them,
        # and iptables-nft-save reads chain by chain: it has printed rules twice while somebody wrote. So both are read until they agree.
        with contextlib.suppress(AssertionError):
            found = eventually(partial(self._read, mark), SETTLED_WITHIN_S, every_s=0.5, until=partial(_as_expected, list(expected)))
        return found

    def _read(self, mark: Mark) -> Result:
        theirs, ours = self.theirs.tables(mark), self.ours.tables(mark)
        return Result(
            services=len(set().union(*map(_services, theirs.values()))),
            rules=sum(tables.rules for tables in theirs.values()),
            differences=[f"IPv{family} {line}" for family in theirs for line in differences(theirs[family], ours[family])],
        )


class Trial:
    """A pair for each back end, all on the same objects. `mark` is in the rules of who knows the newest of them."""

    def __init__(self, laboratory: Laboratory, pairs: Mapping[str, Pair], mark: Mark) -> None:
        self._laboratory, self._pairs, self._mark = laboratory, pairs, mark

    def change(self, objects: Mapping[Key, Object]) -> None:
        """Make these the only objects."""
        self._mark = self._laboratory.api.put(objects)

    def compare(self, expected: Sequence[str] = ()) -> dict[str, Result]:
        """By back end; `expected` are the differences to wait for, without hashes."""
        return {backend: pair.compare(self._mark, expected) for backend, pair in self._pairs.items()}


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Where pairs are made."""

    control_plane: ControlPlane
    api: Api
    folder: Path

    @contextlib.contextmanager
    def trial(self, setting: Setting, backends: Sequence[str], objects: Mapping[Key, Object]) -> Iterator[Trial]:
        """Make these the only objects, and start both on separate nodes with each back end of iptables."""
        mark = self.api.put(objects)
        with contextlib.ExitStack() as running:
            yield Trial(self, {backend: running.enter_context(self._pair(setting, backend)) for backend in backends}, mark)

    @contextlib.contextmanager
    def _pair(self, setting: Setting, backend: str) -> Iterator[Pair]:
        folder = self.folder / backend
        folder.mkdir()
        with contextlib.ExitStack() as running:
            theirs, ours = (running.enter_context(side(self.control_plane, f"{name}-{backend}", backend)) for name in ("theirs", "ours"))
            running.enter_context(kube_proxy(self.control_plane, theirs, setting, folder))
            running.enter_context(agent(self.control_plane, ours, setting, folder))
            yield Pair(theirs, ours)


def _as_expected(expected: list[str], found: Result) -> bool:
    return list(map(without_hashes, found.differences)) == expected


def _services(tables: Tables) -> set[str]:
    """The `namespace/name` of those that the comments speak of."""
    return {name for chain in tables.chains.values() for rule in chain for name in _SERVICE.findall(rule)}
