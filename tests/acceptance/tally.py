"""How many rows passed in a run of tests, by mode: the last lines of `make test` and of the kernel tests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

from tests.acceptance.rows import Proof, case_counts, rows, sample_counts, step_counts
from tests.support.scenarios.scenario import MODES

TRAFFIC = "tests/kernel/traffic/test_traffic.py::test_traffic"
SAMPLE = "tests/kernel/traffic/test_ipvs.py::"
_TRAFFIC = re.compile(r"tests/kernel/traffic/\w+\.py::test_traffic\w*\[(?P<step>[^:]+):(?P<subject>.+)\]")
_OF_KUBE_PROXY = re.compile(r"(^|[-:])kube-proxy[- \]]")
REAL_PACKETS = ("tests/kernel/", "tests/kernels/")
Outcomes = Mapping[str, bool]
"""Whether a test passed, by its node id."""


class Verdict(Enum):
    """What became of a row in a mode."""

    BY_PACKETS = "by real packets"
    OTHERWISE = "by other tests"
    FAILED = "failed"
    NOT_RUN = "not run"
    DOES_NOT_APPLY = "do not apply"
    OPEN = "not proven yet"


def lines(outcomes: Outcomes) -> Iterator[str]:
    """One line per mode of which anything was run."""
    for mode in MODES:
        steps, tests = _by_step(outcomes, mode), _by_test(outcomes, mode)
        if not steps:
            continue
        complete = _complete(steps, mode)
        verdicts = [_verdict(row.proofs[mode], complete, tests) for row in rows() if mode in row.proofs]
        passed = sum(verdict in (Verdict.BY_PACKETS, Verdict.OTHERWISE) for verdict in verdicts)
        words = [f"{count} {verdict.value}" for verdict in Verdict if (count := verdicts.count(verdict))]
        counted = f"{passed} of {len(verdicts)} pass, with {_cases(outcomes, mode)}"
        yield f"rows of kube-proxy's behaviour, {mode} mode: {counted} ({', '.join(words)})"


def _cases(outcomes: Outcomes, mode: str) -> str:
    run, all_ = sum(_sizes(outcomes, mode).values()), case_counts(mode).total()
    return f"{run:,} cases" if run == all_ else f"{run:,} of {all_:,} cases"


def _sizes(outcomes: Outcomes, mode: str) -> dict[str, int]:
    """How many cases each step that was run had."""
    return {step: (sample_counts if SAMPLE in id_ else step_counts)(mode)[step] for id_, step in _own(outcomes, mode)}


def subject_of(id_: str) -> str:
    """Who played this test's cases of the table; empty if it has none."""
    traffic = _TRAFFIC.fullmatch(id_)
    return traffic["subject"] if traffic else ""


def _verdict(proof: Proof, scenarios: Mapping[str, list[bool]], tests: Mapping[str, list[bool]]) -> Verdict:
    if proof.reason:
        return Verdict.DOES_NOT_APPLY
    if proof.open:
        return Verdict.OPEN
    parts = [*(scenarios.get(scenario, []) for scenario in proof.scenarios), *(tests.get(test, []) for test in proof.tests)]
    if any(False in part for part in parts):
        return Verdict.FAILED
    if not all(parts):
        return Verdict.NOT_RUN
    return Verdict.BY_PACKETS if proof.scenarios or any(test.startswith(REAL_PACKETS) for test in proof.tests) else Verdict.OTHERWISE


def _own(outcomes: Outcomes, mode: str) -> Iterator[tuple[str, str]]:
    """The tests of the table in our own mode, with the step that each one is of: `row-006.1` is the second of scenario row-006."""
    for id_ in outcomes:
        if (traffic := _TRAFFIC.fullmatch(id_)) and traffic["subject"] == mode:
            yield id_, traffic["step"]


def _by_step(outcomes: Outcomes, mode: str) -> dict[str, bool]:
    return {step: outcomes[id_] for id_, step in _own(outcomes, mode)}


def _complete(steps: Mapping[str, bool], mode: str) -> dict[str, list[bool]]:
    """The scenarios of which every step was run."""
    every: dict[str, list[str]] = {}
    for step in step_counts(mode):
        every.setdefault(step.partition(".")[0], []).append(step)
    return {scenario: [steps[step] for step in listed] for scenario, listed in every.items() if steps.keys() >= set(listed)}


def _by_test(outcomes: Outcomes, mode: str) -> dict[str, list[bool]]:
    """All parameters of a test that name neither another mode nor kube-proxy."""
    found: dict[str, list[bool]] = {}
    for id_, passed in outcomes.items():
        test, _, parameters = id_.partition("[")
        if not _OF_KUBE_PROXY.search(parameters) and not _names_another(re.split("[-:]", parameters.rstrip("]")), mode):
            found.setdefault(test, []).append(passed)
    return found


def _names_another(words: Iterable[str], mode: str) -> bool:
    named = set(words) & set(MODES)
    return bool(named) and mode not in named
