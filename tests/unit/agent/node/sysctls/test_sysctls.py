"""Which writes follow from what is requested, what the kernel has and what we changed before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_agent.node.sysctls.sysctls import Changed, Plan, Requested, Write, plan

NAME = "net.netfilter.nf_conntrack_max"


def requested(value: str, *, at_least: bool = False) -> Requested:
    return Requested(NAME, value, at_least=at_least)


def values(of: Plan) -> list[tuple[str, str | None]]:
    return [(write.value, write.before) for write in of.writes]


def test_a_value_that_the_kernel_has_is_not_written() -> None:
    assert plan([requested("5")], {NAME: "5"}, {}) == Plan()


def test_values_of_several_numbers_compare_by_number() -> None:
    assert plan([requested("4096 131072  6291456")], {NAME: "4096 131072 6291456"}, {}).writes == ()


def test_another_value_is_written_and_remembered_with_what_it_was() -> None:
    assert values(plan([requested("5")], {NAME: "3"}, {})) == [("5", "3")]


def test_a_limit_is_raised() -> None:
    assert values(plan([requested("200", at_least=True)], {NAME: "100"}, {})) == [("200", "100")]


def test_a_limit_is_never_lowered_and_that_is_said() -> None:
    result = plan([requested("100", at_least=True)], {NAME: "200"}, {})
    assert result.writes == ()
    (finding,) = result.findings
    assert finding.harmless
    assert "stays at 200: limits are never lowered (requested 100)" in finding.message


def test_our_own_raise_may_be_lowered_again_down_to_what_it_was() -> None:
    remembered = {NAME: Changed("100", "300")}
    assert values(plan([requested("200", at_least=True)], {NAME: "300"}, remembered)) == [("200", "100")]
    assert values(plan([requested("50", at_least=True)], {NAME: "300"}, remembered)) == [("100", "100")]


def test_what_somebody_else_raised_after_us_is_kept() -> None:
    result = plan([requested("200", at_least=True)], {NAME: "400"}, {NAME: Changed("100", "300")})
    assert result.writes == ()
    assert result.forgotten == (NAME,)


def test_a_second_change_of_ours_remembers_the_first_value() -> None:
    assert values(plan([requested("7")], {NAME: "5"}, {NAME: Changed("3", "5")})) == [("7", "3")]


def test_what_is_no_longer_wanted_goes_back() -> None:
    result = plan([], {NAME: "5"}, {NAME: Changed("3", "5")})
    assert [(write.value, write.before) for write in result.writes] == [("3", None)]


def test_what_somebody_changed_since_is_left_to_them() -> None:
    result = plan([], {NAME: "9"}, {NAME: Changed("3", "5")})
    assert result.writes == ()
    assert result.forgotten == (NAME,)


def test_what_cannot_be_read_is_not_written() -> None:
    assert plan([requested("5")], {}, {}) == Plan()


def apply(result: Plan, kernel: dict[str, str], ledger: dict[str, Changed]) -> None:
    """What `procsys.reconcile` does, on a kernel that takes every value as it is."""
    for name in result.forgotten:
        del ledger[name]
    for write in result.writes:
        kernel[write.name] = write.value
        if write.before is None:
            del ledger[write.name]
        else:
            ledger[write.name] = Changed(write.before, write.value)


steps = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.tuples(st.integers(0, 5), st.booleans())), max_size=6)


@given(start=st.fixed_dictionaries(dict.fromkeys(["a", "b", "c"], st.integers(0, 5))), steps=steps)
def test_any_sequence_of_wishes_converges_and_is_undone(start: dict[str, int], steps: list[dict[str, tuple[int, bool]]]) -> None:
    kernel = {name: str(value) for name, value in start.items()}
    ledger: dict[str, Changed] = {}
    for step in steps:
        wishes = [Requested(name, str(value), at_least=at_least) for name, (value, at_least) in step.items()]
        apply(plan(wishes, kernel, ledger), kernel, ledger)
        assert plan(wishes, kernel, ledger).writes == ()
        for wish in wishes:
            assert int(kernel[wish.name]) == max(int(wish.value), start[wish.name] if wish.at_least else 0)
    apply(plan([], kernel, ledger), kernel, ledger)
    assert kernel == {name: str(value) for name, value in start.items()}
    assert not ledger


@pytest.mark.parametrize("at_least", [False, True])
def test_converged_is_silent(at_least: bool) -> None:
    kernel, ledger = {NAME: "1"}, dict[str, Changed]()
    wishes = [requested("8", at_least=at_least)]
    apply(plan(wishes, kernel, ledger), kernel, ledger)
    assert plan(wishes, kernel, ledger) == Plan()


def test_the_topic_of_a_wish_goes_along_with_its_write() -> None:
    (write,) = plan([requested("5")], {NAME: "3"}, {}).writes
    assert write == Write(NAME, "5", requested("5").topic, "3")
