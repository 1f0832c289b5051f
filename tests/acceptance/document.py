"""docs/compatibility.md: one line per row of kube-proxy's behaviour, with what proves it in each mode, and where we differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.acceptance import upstreamipvs
from tests.acceptance.rows import Proof, Row, case_counts, differences, otherwise, rows
from tests.support.scenarios.scenario import MODES

PATH = Path(__file__).parents[2] / "docs" / "compatibility.md"
_HEAD = """# Compatible with kube-proxy, row by row

Made by `python -m tests.acceptance` from the tests; a unit test fails when it is stale. The rows are the behaviour of kube-proxy 1.36 that
its own tests, its end-to-end tests and its source show. *Cases* are flows of real packets (client class × address × port and protocol ×
family) in `tests/support/scenarios`, which the real kube-proxy passes as well in nftables and iptables mode; other proofs are tests by
name. In ipvs mode its deprecated namesake does otherwise where a Service needs several sets of endpoints: that is said below.
`make test` ends with the number of rows that passed.
"""


def document() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_summary(), "", *_table(), "", *_differences(), ""])


def _summary() -> Iterator[str]:
    yield "| mode | rows about it | proven | do not apply | not proven yet | cases |"
    yield "|---|---|---|---|---|---|"
    for mode in MODES:
        proofs = [row.proofs[mode] for row in rows() if mode in row.proofs]
        without, missing = (sum(map(bool, each)) for each in zip(*((proof.reason, proof.open) for proof in proofs), strict=True))
        yield f"| {mode} | {len(proofs)} | {len(proofs) - without - missing} | {without} | {missing} | {case_counts(mode).total():,} |"


def _table() -> Iterator[str]:
    yield f"| row | what it is about | {' | '.join(MODES)} |"
    yield f"|---|---|{'---|' * len(MODES)}"
    for row in rows():
        cells = [_cell(row, mode) for mode in MODES]
        yield f"| {row.number} | {row.title} | {' | '.join(cells)} |"


def _cell(row: Row, mode: str) -> str:
    if mode not in row.proofs:
        return f"only {' and '.join(row.modes)} mode{'s' if len(row.modes) > 1 else ''} of kube-proxy"
    return _words(row.proofs[mode], mode)


def _words(proof: Proof, mode: str) -> str:
    if proof.reason:
        return f"does not apply: {proof.reason}"
    if proof.open:
        return f"not proven yet: {proof.open}"
    counted = sum(case_counts(mode)[scenario] for scenario in proof.scenarios)
    return "; ".join([*([f"{counted:,} cases"] if counted else []), *(f"`{_short(test)}`" for test in proof.tests)])


def _short(test: str) -> str:
    path, _, name = test.partition("::")
    return f"{Path(path).stem}::{name}"


def _upstream_ipvs() -> Iterator[str]:
    """kube-proxy's deprecated ipvs mode: ours does as its other modes do."""
    found, every = upstreamipvs.otherwise(), sum(len(round_.cases) for round_ in upstreamipvs.rounds())
    alike = every - sum(map(len, found.values()))
    yield f"The real kube-proxy in ipvs mode was tried with all {every:,} cases on Linux 6.1,"
    yield f"and does in {alike:,} as the agent. In the others:"
    yield ""
    for because, cases in found.items():
        scenarios = ", ".join(dict.fromkeys(case.scenario for case in cases))
        yield f"- {because[0].upper()}{because[1:]}. ({len(cases)} cases: {scenarios})"


def _differences() -> Iterator[str]:
    yield "## Where the agent differs from kube-proxy"
    yield ""
    found = differences()
    if not found:
        yield f"In traffic: nowhere. Every case is expected of both, in {' and in '.join(MODES)} mode."
    else:
        yield "In traffic, by the scenarios, each tried on the real kube-proxy, too:"
        yield ""
    for (because, modes), scenarios in found.items():
        yield f"- {because[0].upper()}{because[1:]}. (In {' and '.join(modes)} mode; {', '.join(sorted(set(scenarios)))})"
    yield ""
    yield from _upstream_ipvs()
    yield ""
    yield "Around it:"
    yield ""
    yield from (f"- Row {row.number}: {row.differs}." for row in rows() if row.differs)
    for each in otherwise():
        tests = ", ".join(f"`{_short(test)}`" for test in each.tests)
        yield f"- {each.about[0].upper()}{each.about[1:]}: kube-proxy {each.kube_proxy}; the agent {each.agent}. ({tests})"
