"""A plan in sentences: how many nodes get a change, and how. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from proxyconfig_api.status.messages import NAMED, counted, listed, node_count
from proxyconfig_api.values.duration import Duration
from proxyconfig_cli.rollout.plan import Course, Plan


def sentences(plan: Plan, *, wide: bool) -> tuple[str, ...]:
    """One a line; `wide` names all nodes."""
    most = plan.linux_nodes if wide else NAMED
    return (*_nodes(plan, most), *_course(plan, most))


def _nodes(plan: Plan, most: int) -> Iterator[str]:
    for word, nodes in (("join", plan.joining), ("leave", plan.leaving)):
        if nodes:
            yield f"{node_count(len(nodes))} {_verb(word, len(nodes))}: {listed(nodes, most)}"
    for other, nodes in plan.elsewhere.items():
        stays = _verb("stay", len(nodes))
        yield f"{node_count(len(nodes))} {stays} with ProxyConfig {other}, which comes first by spec.priority or age: {listed(nodes, most)}"
    if not plan.nodes:
        yield _none(plan)


def _none(plan: Plan) -> str:
    if plan.deleting:
        return f"{plan.name} is being deleted, and gets no node"
    if plan.elsewhere:
        return f"{plan.name} gets no node: raise its spec.priority to take nodes from another ProxyConfig"
    if not plan.linux_nodes:
        return f"{plan.name} gets no node: the cluster has none with Linux"
    return f"{plan.name} gets no node: spec.nodeSelector ({plan.selector}) selects none of {counted(plan.linux_nodes, 'Linux node')}"


def _course(plan: Plan, most: int) -> Iterator[str]:
    if plan.course is Course.NONE:
        return
    what, goes = _what(plan)
    if plan.course is Course.FAILED:
        yield f"{what} failed before, and goes to no node: kubectl proxyconfig rollout retry starts it again"
    elif not plan.changing and not plan.passed_over:
        yield f"{what} {goes} to no node: {_updated(plan.updated)}"
    else:
        has = f"; {_updated(plan.updated)}" if plan.updated else ""
        yield f"{what} {_when(plan, goes)}{has}{_passed_over(plan, most)}"


def _what(plan: Plan) -> tuple[str, str]:
    """What nodes get, and the verb for it."""
    parts = [*([f"revision {plan.revision}"] if plan.revision else ()), *(["new pods"] if plan.replaces_pods else ())]
    words = " and ".join(parts)
    return f"{words[:1].upper()}{words[1:]}", "go" if plan.replaces_pods else "goes"


def _when(plan: Plan, goes: str) -> str:
    if plan.paused:
        return f"{goes} to no node while spec.rollout.paused is true; when it is resumed, {_how(plan)}"
    return f"{goes} {_how(plan)}"


def _how(plan: Plan) -> str:
    to = f"to {node_count(plan.changing)}"
    if plan.course is Course.AT_ONCE:
        return f"{to} at once: there is nothing to go back to yet"
    if plan.course is Course.BACK:
        return f"back {to} without waves, as it was complete before"
    if not plan.waves:
        return "to no node that is ready"
    return f"{to} in {counted(plan.waves, 'wave')}, which {_verb('take', plan.waves)} {Duration(plan.least_s)} or longer"


def _updated(number: int) -> str:
    return f"{node_count(number)} {'has' if number == 1 else 'have'} that already"


def _passed_over(plan: Plan, most: int) -> str:
    number = len(plan.passed_over)
    if not number:
        return ""
    are, get = "is" if number == 1 else "are", _verb("get", number)
    return f"; {node_count(number)} that {are} down or not ready {get} that afterwards: {listed(plan.passed_over, most)}"


def _verb(word: str, number: int) -> str:
    """Of so many nodes or waves."""
    return f"{word}s" if number == 1 else word
