"""How many rows passed in a run of tests, by mode: the last lines of `make test` and of the kernel tests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

from tests.acceptance.rows import Proof, case_counts, rows, sample_counts
from tests.support.scenarios.scenario import MODES

TRAFFIC = "tests/kernel/traffic/test_traffic.py::test_traffic"
_TRAFFIC = re.compile(r"tests/kernel/traffic/\w+\.py::test_traffic\[")
_OF_KUBE_PROXY = re.compile(r"(^|-)kube-proxy[- \]]")
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
        scenarios, tests = _by_scenario(outcomes, mode), _by_test(outcomes, mode)
        if not scenarios:
            continue
        enough = (case_counts(mode), sample_counts(mode))
        complete = {scenario: results for scenario, results in scenarios.items() if len(results) in {each[scenario] for each in enough}}
        verdicts = [_verdict(row.proofs[mode], complete, tests) for row in rows() if mode in row.proofs]
        passed = sum(verdict in (Verdict.BY_PACKETS, Verdict.OTHERWISE) for verdict in verdicts)
        words = [f"{count} {verdict.value}" for verdict in Verdict if (count := verdicts.count(verdict))]
        counted = f"{passed} of {len(verdicts)} pass, with {_cases(scenarios, mode)}"
        yield f"rows of kube-proxy's behaviour, {mode} mode: {counted} ({', '.join(words)})"


def _cases(scenarios: Mapping[str, list[bool]], mode: str) -> str:
    run, all_ = sum(map(len, scenarios.values())), case_counts(mode).total()
    return f"{run:,} cases" if run == all_ else f"{run:,} of {all_:,} cases"


def is_traffic(id_: str) -> bool:
    """Whether this test is a case of the table, of any subject."""
    return _TRAFFIC.match(id_) is not None


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


def _by_scenario(outcomes: Outcomes, mode: str) -> dict[str, list[bool]]:
    """The cases of our own mode. `row-006.1:pod->…-nftables` is one of scenario row-006."""
    found: dict[str, list[bool]] = {}
    for id_, passed in outcomes.items():
        if (traffic := _TRAFFIC.match(id_)) and re.search(rf"/(tcp|udp|sctp)-{mode}\]$", id_):
            scenario = re.split("[.:]", id_[traffic.end() :], maxsplit=1)[0]
            found.setdefault(scenario, []).append(passed)
    return found


def _by_test(outcomes: Outcomes, mode: str) -> dict[str, list[bool]]:
    """All parameters of a test that name neither another mode nor kube-proxy."""
    found: dict[str, list[bool]] = {}
    for id_, passed in outcomes.items():
        test, _, parameters = id_.partition("[")
        if not _OF_KUBE_PROXY.search(parameters) and not _names_another(parameters.rstrip("]").split("-"), mode):
            found.setdefault(test, []).append(passed)
    return found


def _names_another(words: Iterable[str], mode: str) -> bool:
    named = set(words) & set(MODES)
    return bool(named) and mode not in named
