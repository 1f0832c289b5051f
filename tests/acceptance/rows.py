"""The rows of kube-proxy's behaviour as values, from `rows.yaml`, each with its proofs: cases of scenarios, and tests."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.documents import document
from tests.support.scenarios.cases import rounds_of
from tests.support.scenarios.sample import sample
from tests.support.scenarios.scenario import MODES, load

TABLE = Path(__file__).with_name("rows.yaml")
_TESTS = Path(__file__).parents[1]
AS_THE_OTHERS = ("ipvs", "userspace")
"""Modes of ours that do what is the same in the two that kube-proxy goes on with: it has no userspace mode any more, and an ipvs mode that
knows neither policies by class of client nor rejects."""
KUBE_PROXYS = ("nftables", "iptables", "ipvs")


class RowsError(Exception):
    """`rows.yaml` is wrong; the message says which row and what."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that a row holds in a mode: all cases of these scenarios and all these tests. Or why there is nothing to show."""

    scenarios: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    """`tests/unit/…/test_x.py::test_…`, each with all of its parameters that are of the mode, or of none."""
    reason: str = ""
    open: str = ""
    """What is still missing."""

    def __bool__(self) -> bool:
        return bool(self.scenarios or self.tests or self.reason or self.open)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: what it is about, in which of kube-proxy's modes, and its proof in each of ours."""

    number: int
    title: str
    modes: tuple[str, ...]
    proofs: Mapping[str, Proof]
    differs: str = ""
    """What the agent does instead, and why."""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """What kube-proxy and the agent do differently, apart from the rows, and the tests that show it."""

    about: str
    kube_proxy: str
    agent: str
    tests: tuple[str, ...]


@cache
def rows() -> tuple[Row, ...]:
    """All of them, in order. Raises RowsError."""
    return tuple(_row(raw) for raw in document(TABLE))


@cache
def case_counts(mode: str) -> Counter[str]:
    """How many cases each scenario has in a mode."""
    return Counter(case.scenario for round_ in rounds_of(load(), mode=mode) for case in round_.cases)


@cache
def step_counts(mode: str) -> Counter[str]:
    """How many cases each step of a scenario has, by `Case.step`: those of a test."""
    return Counter(case.step for round_ in rounds_of(load(), mode=mode) for case in round_.cases)


@cache
def sample_counts(mode: str) -> Counter[str]:
    """How many of them are in the sample."""
    return Counter(case.step for round_ in sample(rounds_of(load(), mode=mode)) for case in round_.cases)


def differences() -> dict[tuple[str, tuple[str, ...]], list[str]]:
    """What kube-proxy does otherwise by the scenarios, in which modes, and where."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for scenario in load():
        for difference in (one for step in scenario.steps for line in step.expect for one in line.differences):
            modes = tuple(mode for mode in difference.modes if mode in KUBE_PROXYS)
            found.setdefault((difference.because, modes), []).append(scenario.id)
    return found


def otherwise() -> list[Otherwise]:
    """The differences apart from the rows."""
    listed = document(TABLE.with_name("differences.yaml"))
    return [Otherwise(raw["about"], raw["kube-proxy"], raw["agent"], tuple(map(_node_id, raw["tests"]))) for raw in listed]


def _row(raw: dict[str, Any]) -> Row:
    number = raw["row"]
    if unknown := set(raw) - {"row", "title", "modes", "scenarios", "tests", "open", "differs", *MODES}:
        raise RowsError(f"row {number}: unknown keys {sorted(unknown)}")
    about = tuple(raw.get("modes", KUBE_PROXYS))
    ours = (*about, *(AS_THE_OTHERS if {"nftables", "iptables"} <= set(about) else ()))
    proofs = {mode: _proof(raw, mode) for mode in MODES if mode in ours}
    if unproven := [mode for mode, proof in proofs.items() if not proof]:
        raise RowsError(f"row {number}: neither cases nor tests nor a reason in {', '.join(unproven)}")
    return Row(number, raw["title"], about, proofs, raw.get("differs", ""))


def _proof(raw: dict[str, Any], mode: str) -> Proof:
    own = raw.get(mode, {})
    pattern = re.compile(rf"row-{raw['row']:03}(-|$)")
    scenarios = (*(id_ for id_ in case_counts(mode) if pattern.match(id_)), *raw.get("scenarios", ()))
    if without := [id_ for id_ in scenarios if not case_counts(mode)[id_]]:
        raise RowsError(f"row {raw['row']}: scenarios without cases in {mode} mode: {', '.join(without)}")
    written = map(_node_id, (*raw.get("tests", ()), *own.get("tests", ())))
    tests = tuple(dict.fromkeys([*_named_after_rows().get(raw["row"], ()), *written]))
    return Proof(scenarios, tests, own.get("reason", ""), own.get("open", raw.get("open", "")))


def _test_modules() -> Iterator[Path]:
    """Not through folders of compiled modules: other kernels see them come and go, as the machine's tests write them."""
    for folder, folders, files in os.walk(_TESTS):
        folders[:] = [name for name in folders if name != "__pycache__"]
        yield from (Path(folder, name) for name in files if name.startswith("test_") and name.endswith(".py"))


@cache
def _named_after_rows() -> dict[int, list[str]]:
    """The tests that have rows in their names, by row: `test_row_058_and_row_096_…`."""
    found: dict[int, list[str]] = {}
    for path in sorted(_test_modules()):
        for name in re.findall(r"^(?:async )?def (test_row_\d\w+)", path.read_text(), re.MULTILINE):
            for number in re.findall(r"row_(\d+)", name):
                found.setdefault(int(number), []).append(f"{path.relative_to(_TESTS.parent)}::{name}")
    return found


def _node_id(short: str) -> str:
    module, colons, name = short.partition("::")
    return f"tests/{module}.py{colons}{name}"
