"""Kernel parameters: the requested values against those of the kernel, and the writes that follow. Pure; `procsys` does the I/O.

A value that the agent changes is remembered with what it was before, so that it can be restored when no ProxyConfig asks for it any
more. A value that something else has changed since is left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from proxyconfig_agent.state.findings import Finding, Topic


class Requested(Struct, frozen=True):
    """One parameter by its dotted name. `at_least`: a larger value of the kernel is kept, never lowered."""

    name: str
    value: str
    topic: Topic = Topic.SYSCTLS
    at_least: bool = False


class Changed(Struct, frozen=True):
    """What a parameter was before the agent touched it, and what the kernel made of the agent's value.

    `after` None: the agent was about to write it; whether it did, the kernel's value shows."""

    before: str
    after: str | None


class Write(Struct, frozen=True):
    """A value to be set. `before` is what to go back to one day; None: this write itself is the way back."""

    name: str
    value: str
    topic: Topic
    before: str | None


class Plan(Struct, frozen=True):
    """The writes, in order; the remembered changes that are to be forgotten because they are not ours any more; the findings."""

    writes: tuple[Write, ...] = ()
    forgotten: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def normal(value: str) -> str:
    """A value as it compares: parameters with several numbers are separated by tabs in the kernel and by blanks by people."""
    return " ".join(value.split())


def plan(requested: Iterable[Requested], actual: Mapping[str, str], remembered: Mapping[str, Changed], kept: Collection[str] = ()) -> Plan:
    """The writes from `actual` (the parameters that could be read, normalised) to `requested`; none when that is what the kernel has.

    Of those `kept`, what is not requested stays as it is, and is restored another time. A parameter that is missing in `actual` is
    skipped; the reader reports why.
    """
    writes: list[Write] = []
    forgotten: list[str] = []
    findings: list[Finding] = []
    names = set()
    for each in requested:
        names.add(each.name)
        if each.name not in actual:
            continue
        now = actual[each.name]
        ours = _ours(remembered.get(each.name), now)
        before = ours.before if ours else now
        target = _target(each, before)
        if target != now or (ours and ours.after is None):
            writes.append(Write(each.name, target, each.topic, before))
        elif ours is None and each.name in remembered:
            forgotten.append(each.name)
        if target != normal(each.value):
            findings.append(_kept(each, target))
    for name in sorted(set(remembered) - names - set(kept)):
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


def _target(each: Requested, before: str) -> str:
    value = normal(each.value)
    return before if each.at_least and int(before) > int(value) else value


def _kept(each: Requested, kept: str) -> Finding:
    return Finding(
        each.topic,
        "LargerValueKept",
        f"{each.name} stays at {kept}: limits are never lowered (requested {each.value})",
        harmless=True,
    )
