"""What probes may say against a change: only what passed before and fails now."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_agent.checks.probes.judge import failed, failed_before, judged, sentence, statuses, to_ask_again
from proxyconfig_agent.checks.probes.model import Absent, Answer, Kind, Target
from proxyconfig_agent.checks.probes.signals import CONNTRACK_DROPS, COUNTED, INSERTS_FAILED, TCP_RESETS, Signals, compared, unlike
from proxyconfig_agent.ingest.addresses import parse_address
from proxyconfig_agent.ingest.model import Family
from proxyconfig_api.spec.sections import Mode
from proxyconfig_api.status.rollout import ProbeResult

P, F, N, B = ProbeResult.PASSED, ProbeResult.FAILED, ProbeResult.NOT_APPLICABLE, ProbeResult.FAILED_BEFORE


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(P, P, P), (P, F, F), (P, N, N), (F, F, B), (F, P, P), (F, N, N), (N, F, N), (N, P, P), (None, F, N), (None, P, P), (None, N, N)],
)
def test_only_a_probe_that_passed_before_speaks_against_a_change(
    before: ProbeResult | None, after: ProbeResult, expected: ProbeResult
) -> None:
    earlier = [Answer("dns", before)] if before else []
    (result,) = judged(earlier, [Answer("dns", after, "no answer")])
    assert result.result is expected
    assert "no answer" in result.message


results = st.lists(st.builds(Answer, st.sampled_from("abcde"), st.sampled_from((P, F, N))), unique_by=lambda result: result.name)


@given(results, results)
def test_what_speaks_against_a_change_passed_before_and_fails_now(before: list[Answer], after: list[Answer]) -> None:
    found = judged(before, after)
    assert [result.name for result in found] == [result.name for result in after]
    passed = {result.name for result in before if result.result is P}
    assert {result.name for result in failed(found)} == passed & {result.name for result in after if result.result is F}
    assert failed(judged(after, after)) == ()


def test_failures_are_told_by_name() -> None:
    assert sentence([Answer("a", F, "refused"), Answer("b", F, "silent")]) == "a: refused; b: silent"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(1.0, None, N), (None, 1.0, P), (None, 100.0, N), (1.0, 19.0, P), (1.0, 100.0, F), (11.0, 100.0, P), (0.0, 20.0, F)],
)
def test_a_counter_speaks_against_a_change_if_it_grows_ten_times_as_fast_as_before(
    before: float | None, after: float | None, expected: ProbeResult
) -> None:
    assert compared(TCP_RESETS, before, after).result is expected


@pytest.mark.parametrize("name", COUNTED)
def test_each_counter_has_words_of_its_own(name: str) -> None:
    words = compared(name, 1.0, 100.0).message
    assert words == f"100 {COUNTED[name]} since the change, 1.0 in the minutes before"
    assert "a second" in words


def test_counters_that_wrap_go_on() -> None:
    counts, times = iter((2**32 - 100, 2**32 - 90, 990)), iter((0.0, 10.0, 20.0))
    signals = Signals(lambda: {INSERTS_FAILED: next(counts), CONNTRACK_DROPS: None}, lambda: next(times))
    signals.sample_if_due()
    inserts, *others = signals.answers(signals.baseline(), {})
    assert (inserts.name, inserts.result) == (INSERTS_FAILED, F)
    assert inserts.message.startswith("108 connections a second")
    assert [each.result for each in others] == [N] * 3


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        (Mode.NFTABLES, Mode.USERSPACE, [TCP_RESETS]),
        (Mode.IPVS, Mode.USERSPACE, [TCP_RESETS]),
        (Mode.USERSPACE, Mode.USERSPACE, []),
        (Mode.USERSPACE, Mode.NFTABLES, []),
        (Mode.IPTABLES, Mode.NFTABLES, []),
    ],
)
def test_resets_say_nothing_about_a_change_to_the_mode_in_which_the_node_ends_connections(old: Mode, new: Mode, names: list[str]) -> None:
    times = iter((0.0, 100.0, 200.0))
    counts = iter((0, 0, 100_000))
    signals = Signals(lambda: dict.fromkeys(COUNTED, next(counts)), lambda: next(times))
    signals.sample_if_due()
    answers = signals.answers(signals.baseline(), unlike(old, new))
    assert [each.name for each in answers if each.result is N] == names
    assert {each.name for each in answers if each.result is F} == set(COUNTED) - set(names)


def test_a_change_is_compared_with_the_minutes_before_it_however_long_it_is_held() -> None:
    """Neither rounds of probes nor the samples of a long hold take their place."""
    count, at = 0, 0.0
    signals = Signals(lambda: dict.fromkeys(COUNTED, count), lambda: at)
    for at in range(0, 60, 10):  # noqa: B007 - the clock of the signals
        signals.sample_if_due()
    baseline = signals.baseline()
    for at in range(60, 600):
        count += 1000
        signals.sample_if_due()
        found = {each.result for each in signals.answers(baseline, {})}
        assert found == {F}, at


def test_what_failed_before_is_reported_and_not_asked_again() -> None:
    v4, v6 = (Target("dns/UDP", Kind.DNS_UDP, parse_address(address), 53) for address in ("10.96.0.10", "fd00::a"))
    absent = Absent("apiServer", "there is none")
    before = [
        Answer("dns/UDP", P, family=Family.IPV4),
        Answer("dns/UDP", F, "silent", Family.IPV6),
        Answer("apiServer", N, "there is none"),
    ]
    assert to_ask_again([v4, v6, absent], before) == (v4, absent)
    assert failed_before(before) == (Answer("dns/UDP", B, "it failed before the change: silent", Family.IPV6),)


def test_a_status_names_each_probe_once_with_the_worst_of_its_families() -> None:
    answers = [
        Answer("dns/UDP", P, family=Family.IPV4),
        Answer("dns/UDP", F, "IPv6 is silent", Family.IPV6),
        Answer("apiServer", P, family=Family.IPV4),
        Answer("web", B, "a", Family.IPV4),
        Answer("web", B, "b", Family.IPV6),
    ]
    assert [(each.name, each.result, each.message) for each in statuses(answers)] == [
        ("dns/UDP", F, "IPv6 is silent"),
        ("apiServer", P, ""),
        ("web", B, "a; b"),
    ]
