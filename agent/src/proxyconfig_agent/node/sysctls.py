"""Kernel parameters: what is wanted against what the kernel has, and the writes that follow. Pure; `procsys` does the I/O.

A value that the agent changes is remembered with what it was before, so that it can be restored when no ProxyConfig asks for it any
more. A value that something else has changed since is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxyconfig_agent.state.findings import Finding, Topic


@dataclass(frozen=True, slots=True)
class Wanted:
    """One parameter by its dotted name. `at_least`: a larger value of the kernel is kept, never lowered."""

    name: str
    value: str
    topic: Topic = Topic.SYSCTLS
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Changed:
    """What a parameter was before the agent touched it, and what the kernel made of the agent's value.

    `after` None: the agent was about to write it; whether it did, the kernel tells."""

    before: str
    after: str | None


@dataclass(frozen=True, slots=True)
class Write:
    """A value to be set. `before` is what to go back to one day; None: this write itself is the way back."""

    name: str
    value: str
    topic: Topic
    before: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The writes, in order; the remembered changes that are to be forgotten because they are not ours any more; the findings."""

    writes: tuple[Write, ...] = ()
    forgotten: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def normal(value: str) -> str:
    """A value as it compares: parameters with several numbers are separated by tabs in the kernel and by blanks by people."""
    return " ".join(value.split())


def plan(wanted: Iterable[Wanted], actual: Mapping[str, str], remembered: Mapping[str, Changed]) -> Plan:
    """The writes from `actual` (the parameters that could be read, normalised) to `wanted`; none when that is what the kernel has.

    A parameter that is missing in `actual` is skipped: whoever could not read it says why.
    """
    writes: list[Write] = []
    forgotten: list[str] = []
    findings: list[Finding] = []
    names = set()
    for want in wanted:
        names.add(want.name)
        if want.name not in actual:
            continue
        now = actual[want.name]
        ours = _ours(remembered.get(want.name), now)
        before = ours.before if ours else now
        target = _target(want, before)
        if target != now or (ours and ours.after is None):
            writes.append(Write(want.name, target, want.topic, before))
        elif ours is None and want.name in remembered:
            forgotten.append(want.name)
        if target != normal(want.value):
            findings.append(_kept(want, target))
    for name in sorted(set(remembered) - names):
        if _ours(remembered[name], actual.get(name)):
            writes.append(Write(name, remembered[name].before, Topic.SYSCTLS, None))
        elif name in actual:
            forgotten.append(name)
    return Plan(tuple(writes), tuple(forgotten), tuple(findings))


def _ours(change: Changed | None, now: str | None) -> Changed | None:
    """The remembered change, if what the kernel has now comes from it."""
    if change is None or now is None:
        return None
    interrupted = change.after is None and now != change.before
    return change if interrupted or now == change.after else None


def _target(want: Wanted, before: str) -> str:
    value = normal(want.value)
    return before if want.at_least and int(before) > int(value) else value


def _kept(want: Wanted, kept: str) -> Finding:
    return Finding(
        want.topic,
        "LargerValueKept",
        f"{want.name} stays at {kept}: limits are never lowered (requested {want.value})",
        harmless=True,
    )
