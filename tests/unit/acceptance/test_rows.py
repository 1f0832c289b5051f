"""The table of kube-proxy's behaviour is complete, what it names exists, and the page made of it is current."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest
from tests.acceptance import document, upstreamipvs
from tests.acceptance.rows import case_counts, otherwise, rows
from tests.acceptance.tally import TRAFFIC, lines
from tests.support.scenarios.cases import rounds_of
from tests.support.scenarios.sample import sample
from tests.support.scenarios.scenario import MODES, load

REPOSITORY = Path(__file__).parents[3]
ROWS = 146


def test_every_row_is_there_once() -> None:
    assert [row.number for row in rows()] == list(range(1, ROWS + 1))


def test_every_test_that_is_named_exists() -> None:
    named = {test for row in rows() for proof in row.proofs.values() for test in proof.tests} | {
        test for one in otherwise() for test in one.tests
    }

    assert not sorted(test for test in named if test.partition("::")[2] not in _tests_in(test.partition("::")[0]))


@cache
def _tests_in(path: str) -> set[str]:
    tree = ast.parse((REPOSITORY / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_page_is_what_the_tests_say() -> None:
    assert document.PATH.read_text() == document.document(), "stale: run `python -m tests.acceptance`"


def test_what_kube_proxys_ipvs_mode_does_otherwise_is_said_of_steps_that_are_there_and_once_of_each_case() -> None:
    every = [case for round_ in upstreamipvs.rounds() for case in round_.cases]
    told = [(reason, some) for reason in upstreamipvs.reasons() for some in reason.cases]

    for _, some in told:
        assert some.steps == {case.step for case in every if some.have(case)}
    assert not [case.id for case in every if len({reason.because for reason, some in told if some.have(case)}) > 1]


@pytest.mark.parametrize("mode", MODES)
def test_ids_of_cases_are_unique_in_a_mode(mode: str) -> None:
    ids = [case.id for round_ in rounds_of(load(), mode=mode) for case in round_.cases]

    assert len(ids) == len(set(ids)), sorted({id_ for id_ in ids if ids.count(id_) > 1})[:3]


def test_a_row_passes_if_all_of_its_cases_do() -> None:
    ids = [f"{TRAFFIC}[{case.step}:nftables]" for round_ in rounds_of(load()) for case in round_.cases]
    outcomes = dict.fromkeys(ids, True)
    everything, without_one = list(lines(outcomes)), dict(outcomes)
    without_one[next(id_ for id_ in ids if "[row-013:" in id_)] = False

    assert f"with {case_counts('nftables').total():,} cases" in everything[0]
    assert "failed" not in everything[0]
    assert "1 failed" in next(lines(without_one))
    assert not [line for line in everything if "iptables" in line]


def test_the_sample_of_a_mode_tells_its_rows_too() -> None:
    cases = [case for round_ in sample(rounds_of(load(), mode="ipvs")) for case in round_.cases]
    (line,) = lines({f"tests/kernel/traffic/test_ipvs.py::test_traffic[{case.step}:ipvs]": True for case in cases})

    assert f"with {len(cases):,} of {case_counts('ipvs').total():,} cases" in line
    assert "by real packets" in line
    assert "failed" not in line


def test_cases_of_kube_proxy_prove_nothing_of_ours() -> None:
    ids = [f"{TRAFFIC}[{case.step}:kube-proxy-nftables]" for round_ in rounds_of(load()) for case in round_.cases]

    assert not list(lines(dict.fromkeys(ids, True)))


def test_a_row_is_not_run_in_a_mode_whose_tests_were_run_on_kube_proxy_alone() -> None:
    case = next(case for round_ in rounds_of(load()) for case in round_.cases)
    some = {f"{TRAFFIC}[{case.step}:nftables]": True}
    test = "tests/kernel/node/test_udp.py::test_row_121_clients_are_refused_when_no_endpoint_is_left"

    assert list(lines({**some, f"{test}[kube-proxy]": True})) == list(lines(some))
    assert list(lines({**some, f"{test}[nftables]": True})) != list(lines(some))
