"""Which mode runs, from what the probes have found."""

from __future__ import annotations

import itertools

import pytest

from proxyconfig_agent.dataplane.modes.mode_choice import Answer, Chosen, Impossible, Verdict, choose
from proxyconfig_api.spec import modes
from proxyconfig_api.spec.modes import ORDER, PodNeeds
from proxyconfig_api.spec.sections import Mode

KERNEL = "6.1.0"
WORKS = Answer(Verdict.WORKS)


def lacks(mode: Mode) -> Answer:
    lack = f"the kernel lacks what {mode} needs"
    return Answer(Verdict.LACKS, f"{mode}: {lack}; load the module, use a kernel that has it, or choose another mode", lack)


def unclear(mode: Mode) -> Answer:
    return Answer(Verdict.UNCLEAR, f"{mode}: no memory")


@pytest.fixture(autouse=True)
def all_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that has every mode."""
    for mode in ORDER:
        monkeypatch.setitem(modes.BUILT, mode, PodNeeds())


def outcome(desired: Mode, answers: dict[Mode, Answer], before: Mode | None = None) -> tuple[list[Mode], Chosen | Impossible]:
    """The modes that are probed, and what comes of it."""
    probed = dict[Mode, Answer]()
    while isinstance(step := choose(desired, probed, before, KERNEL), Mode):
        probed[step] = answers[step]
    return list(probed), step


def mode_of(answers: dict[Mode, Answer]) -> Mode:
    _, chosen = outcome(Mode.AUTO, answers)
    assert isinstance(chosen, Chosen)
    return chosen.mode


@pytest.mark.parametrize("best", range(4))
def test_auto_takes_the_first_mode_that_works_and_probes_none_after_it(best: int) -> None:
    answers = {mode: WORKS if ORDER.index(mode) >= best else lacks(mode) for mode in ORDER}
    probed, chosen = outcome(Mode.AUTO, answers)
    assert probed == list(ORDER[: best + 1])
    assert isinstance(chosen, Chosen)
    assert (chosen.mode, chosen.reason) == (ORDER[best], "NextBest" if best else "FirstChoice")
    assert all(f"no {mode}, as {lacks(mode).lack}" in chosen.message for mode in ORDER[:best])


def test_a_kernel_that_lacks_nf_tables_ends_in_iptables_and_one_that_lacks_both_and_ipvs_in_userspace() -> None:
    answers = {Mode.NFTABLES: lacks(Mode.NFTABLES), Mode.IPTABLES: WORKS}
    assert mode_of(answers) is Mode.IPTABLES
    answers = {mode: lacks(mode) for mode in ORDER} | {Mode.USERSPACE: WORKS}
    assert mode_of(answers) is Mode.USERSPACE


def test_where_nothing_works_every_mode_is_named() -> None:
    probed, impossible = outcome(Mode.AUTO, {mode: lacks(mode) for mode in ORDER})
    assert probed == list(ORDER)
    assert isinstance(impossible, Impossible)
    assert all(f"no {mode}, as {lacks(mode).lack}" in impossible.message for mode in ORDER)
    assert impossible.message.endswith("; load the module, or use a kernel that has it")


def test_the_message_of_auto_is_one_sentence_with_one_fix() -> None:
    answers = {
        Mode.NFTABLES: lacks(Mode.NFTABLES),
        Mode.IPTABLES: Answer(Verdict.UNCLEAR, "iptables: no memory"),
        Mode.IPVS: lacks(Mode.IPVS),
        Mode.USERSPACE: WORKS,
    }
    _, chosen = outcome(Mode.AUTO, answers)
    assert isinstance(chosen, Chosen)
    assert chosen.message == (
        "auto: userspace is the best mode that works with kernel 6.1.0: no nftables, as the kernel lacks what nftables needs; "
        "no iptables, as no memory; no ipvs, as the kernel lacks what ipvs needs; "
        "for a better mode, load the module, or use a kernel that has it"
    )


@pytest.mark.parametrize("desired", ORDER)
@pytest.mark.parametrize("before", [None, *ORDER])
def test_a_mode_that_the_spec_names_is_that_mode_or_none(desired: Mode, before: Mode | None) -> None:
    assert outcome(desired, {desired: WORKS}, before) == ([desired], Chosen(desired, "AsConfigured", f"spec.mode is {desired}"))
    assert outcome(desired, {desired: lacks(desired)}, before) == ([desired], Impossible(lacks(desired).words))
    assert outcome(desired, {desired: unclear(desired)}, before) == ([desired], Impossible(unclear(desired).words))


@pytest.mark.parametrize("before", ORDER)
def test_no_mode_is_left_for_a_worse_one_because_its_probe_failed(before: Mode) -> None:
    answers = {mode: lacks(mode) if ORDER.index(mode) < ORDER.index(before) else WORKS for mode in ORDER} | {before: unclear(before)}
    _, impossible = outcome(Mode.AUTO, answers, before)
    assert isinstance(impossible, Impossible)
    assert f"stays with {before}" in impossible.message


def test_every_combination_of_answers_has_an_outcome_that_depends_on_the_better_modes_alone() -> None:
    for verdicts in itertools.product(Verdict, repeat=len(ORDER)):
        answers = {mode: Answer(verdict, mode.value) for mode, verdict in zip(ORDER, verdicts, strict=True)}
        for before in (None, *ORDER):
            probed, step = outcome(Mode.AUTO, answers, before)
            stopped = before in probed and answers[before].verdict is Verdict.UNCLEAR if before else False
            works = next((mode for mode in ORDER if answers[mode].verdict is Verdict.WORKS), None)
            if isinstance(step, Chosen):
                assert (step.mode, stopped) == (works, False)
            else:
                assert works is None or stopped
