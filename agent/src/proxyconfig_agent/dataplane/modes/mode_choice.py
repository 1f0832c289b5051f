"""Which mode a node runs for `spec.mode`, from what probing has found so far (docs/adr/0020). Pure; `controller.active` probes."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from msgspec import Struct

from proxyconfig_api.spec.modes import candidates
from proxyconfig_api.spec.sections import Mode

_FIX = "load the module, or use a kernel that has it"


class Verdict(enum.Enum):
    WORKS = enum.auto()
    LACKS = enum.auto()
    """The kernel, or the programs of the node, lack something that the mode needs."""
    UNCLEAR = enum.auto()
    """The probe itself failed: no memory, no rights, a lock. The next one may have an answer."""


class Answer(Struct, frozen=True):
    """What the probe of one mode came to. `words`: why the mode does not work, and what to do; empty where it works."""

    verdict: Verdict
    words: str = ""
    lack: str = ""
    """What is missing, without the name of the mode and the fix; empty if that is not known."""


class Chosen(Struct, frozen=True):
    """`reason` as in docs/conditions.md; `message` has the evidence against the modes before it."""

    mode: Mode
    reason: str
    message: str


class Impossible(Struct, frozen=True):
    """No mode is chosen now, and why."""

    message: str


def choose(desired: Mode, answers: Mapping[Mode, Answer], before: Mode | None, kernel: str) -> Mode | Chosen | Impossible:
    """The mode to probe next, or the outcome: the first candidate that works.

    `before`: the mode that this node ran on this kernel. It is left only for a better one, or where it lacks something: while its
    probe has no clear answer, no worse mode takes its place. `kernel`: the release, for people."""
    for mode in candidates(desired):
        answer = answers.get(mode)
        if answer is None:
            return mode
        if answer.verdict is Verdict.WORKS:
            return _chosen(desired, mode, answers, kernel)
        if answer.verdict is Verdict.UNCLEAR and mode is before:
            return Impossible(answer.words if desired is mode else f"auto: this node stays with {mode}, whose probe failed: {answer.words}")
    return Impossible(_words(desired, answers))


def as_configured(mode: Mode) -> Chosen:
    """The mode that the spec names."""
    return Chosen(mode, "AsConfigured", f"spec.mode is {mode}")


def _chosen(desired: Mode, mode: Mode, answers: Mapping[Mode, Answer], kernel: str) -> Chosen:
    if desired is not Mode.AUTO:
        return as_configured(mode)
    against = _against({each: answer for each, answer in answers.items() if answer.verdict is not Verdict.WORKS})
    if not against:
        return Chosen(mode, "FirstChoice", f"auto: {mode} is the first choice, and kernel {kernel} has all that it needs")
    return Chosen(mode, "NextBest", f"auto: {mode} is the best mode that works with kernel {kernel}: {against}; for a better mode, {_FIX}")


def _words(desired: Mode, answers: Mapping[Mode, Answer]) -> str:
    if desired is not Mode.AUTO:
        return "; ".join(answer.words for answer in answers.values())
    return f"auto: no mode works on this node: {_against(answers)}; {_FIX}"


def _against(answers: Mapping[Mode, Answer]) -> str:
    """What each of these modes lacks."""
    lacks = {mode: answer.lack or answer.words.removeprefix(f"{mode}: ") for mode, answer in answers.items()}
    return "; ".join(f"no {mode}, as {lack}" for mode, lack in lacks.items())
