"""Programs are fed, and read, with few system calls: each is a moment in which the event loop wakes in vain (ADR 8)."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.support.systemcalls import transfers

from proxyconfig_agent.dataplane.iptables.tools import program

RULE = b'-A KUBE-SVC-AAAAAAAAAAAAAAAA -m comment --comment "shop/web -> 10.0.0.1:80" -j KUBE-SEP-BBBBBBBBBBBBBBBB\n'
RULES = 40_000
MEBIBYTES = len(RULE) * RULES >> 20
PER_MEBIBYTE = 8
"""About 30 ms of work between two."""

PRINTS = f"import sys; sys.stdout.buffer.write({RULE!r} * {RULES})"


def test_a_mebibyte_that_a_program_printed_takes_a_handful_of_reads() -> None:
    with program.run([sys.executable, "-c", PRINTS]) as output:
        before = transfers()
        lines = sum(1 for _ in output)
        assert transfers() - before <= PER_MEBIBYTE * MEBIBYTES
    assert lines == RULES


def test_a_mebibyte_of_input_takes_a_handful_of_writes() -> None:
    with program.file() as given:
        before = transfers()
        for _ in range(RULES):
            given.write(RULE)
        given.flush()
        assert transfers() - before <= PER_MEBIBYTE * MEBIBYTES


def test_a_mebibyte_that_is_made_while_a_program_reads_takes_a_handful_of_writes() -> None:
    before = transfers()
    program.pour(["/bin/cat"], _rules())
    assert transfers() - before <= PER_MEBIBYTE * MEBIBYTES


def _rules() -> Iterator[bytes]:
    for _ in range(RULES):
        yield RULE
