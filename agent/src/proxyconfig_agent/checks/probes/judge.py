"""What the probes say about a change. Pure. Only a probe that passed before the change can count against it (nmstate's rule)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from proxyconfig_agent.checks.probes.model import Absent, Answer, Target
from proxyconfig_api.status.rollout import PROBES_LIMIT, ProbeResult, ProbeStatus

_WORST_FIRST = (ProbeResult.FAILED, ProbeResult.FAILED_BEFORE, ProbeResult.PASSED, ProbeResult.NOT_APPLICABLE)


def judged(before: Iterable[Answer], after: Iterable[Answer]) -> tuple[Answer, ...]:
    """The answers after the change, in the light of those from before it."""
    earlier = {(answer.name, answer.family): answer.result for answer in before}
    return tuple(_judged(earlier.get((answer.name, answer.family)), answer) for answer in after)


def to_ask_again(targets: Iterable[Target | Absent], before: Iterable[Answer]) -> tuple[Target | Absent, ...]:
    """Without what failed before the change: whatever it answers, it gates nothing, and waiting for it takes time."""
    failed = {(answer.name, answer.family) for answer in before if answer.result is ProbeResult.FAILED}
    return tuple(each for each in targets if isinstance(each, Absent) or (each.name, each.family) not in failed)


def failed_before(before: Iterable[Answer]) -> tuple[Answer, ...]:
    """What failed before the change, as it is reported after it."""
    return tuple(_failing_before(answer) for answer in before if answer.result is ProbeResult.FAILED)


def failed(answers: Iterable[Answer]) -> tuple[Answer, ...]:
    """Those that count against the change."""
    return tuple(answer for answer in answers if answer.result is ProbeResult.FAILED)


def sentence(answers: Iterable[Answer]) -> str:
    """In words for a condition: name and message of each."""
    return "; ".join(f"{answer.name}: {answer.message}" for answer in answers)


def statuses(answers: Iterable[Answer]) -> tuple[ProbeStatus, ...]:
    """One for each name, as a NodeProxy has them: the worst of its families, with the words of all that are as bad."""
    by_name: dict[str, list[Answer]] = {}
    for answer in answers:
        by_name.setdefault(answer.name, []).append(answer)
    return tuple(_status(name, of_name) for name, of_name in list(by_name.items())[:PROBES_LIMIT])


def _status(name: str, answers: list[Answer]) -> ProbeStatus:
    worst = min((answer.result for answer in answers), key=_WORST_FIRST.index)
    words = dict.fromkeys(answer.message for answer in answers if answer.result is worst and answer.message)
    return ProbeStatus(name=name, result=worst, message="; ".join(words))


def _judged(before: ProbeResult | None, answer: Answer) -> Answer:
    if answer.result is not ProbeResult.FAILED or before is ProbeResult.PASSED:
        return answer
    if before is ProbeResult.FAILED:
        return _failing_before(answer)
    return replace(answer, result=ProbeResult.NOT_APPLICABLE, message=f"it was not there before the change: {answer.message}")


def _failing_before(answer: Answer) -> Answer:
    return replace(answer, result=ProbeResult.FAILED_BEFORE, message=f"it failed before the change: {answer.message}")
