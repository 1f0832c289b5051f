"""Who plays which part of the behaviour table: our modes and the real kube-proxy all of it, our agent's process what concerns a process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import pytest
from _pytest.mark import ParameterSet
from tests.kernel.traffic.inprocess import DATAPLANES
from tests.support.netns import ipvs, nf_tables
from tests.support.scenarios.cases import Case, Round, rounds_of
from tests.support.scenarios.sample import brief, sample
from tests.support.scenarios.scenario import MODES, Scenario, load

IPVS = "ipvs"
LEGACY = "iptables-legacy"
"""Our iptables mode where the node uses the other back end."""

BY_IPTABLES = "userspace-iptables"
"""Our userspace mode where the kernel has no nf_tables."""

IPVS_BY_IPTABLES = "ipvs-iptables"
"""Our ipvs mode there."""

KUBE_PROXY = ("nftables", "iptables")
"""The modes of ours that the real kube-proxy has, too."""


IN_A_CLUSTER = ("nftables", "iptables")
"""Modes in which end-to-end tests play the scenarios of every client class (`tests/e2e/test_traffic.py`)."""


def _everything(_: Scenario) -> bool:
    return True


def _of_a_process(scenario: Scenario) -> bool:
    """Whether watches or configuration matter to it: objects that change, every client class, and configurations but the default."""
    return len(scenario.steps) > 1 or scenario.id.startswith("matrix-") or scenario.config != "default"


def _of_a_watch(scenario: Scenario) -> bool:
    """Of those, what other clients see: end-to-end tests play the rest against agents of the same mode in a cluster."""
    return _of_a_process(scenario) and not scenario.id.startswith("matrix-")


@dataclass(frozen=True, slots=True)
class Part:
    """A subject by name, in one mode, and what it plays: the cases that `chosen` leaves of the scenarios that `plays` admits."""

    subject: str
    mode: str
    plays: Callable[[Scenario], bool] = _everything
    chosen: Callable[[Iterable[Round]], list[Round]] = list
    rules: str = ""
    """The mode whose rules it has, if that is not its own."""

    def __str__(self) -> str:
        return self.subject

    @property
    def is_kube_proxy(self) -> bool:
        return self.subject.startswith("kube-proxy")

    def rounds(self) -> list[Round]:
        return _rounds(self.plays, self.chosen, self.mode, self.rules)


@cache
def _rounds(plays: Callable[[Scenario], bool], chosen: Callable[[Iterable[Round]], list[Round]], mode: str, rules: str) -> list[Round]:
    return chosen(rounds_of(filter(plays, load()), mode=mode, rules=rules))


_HERE = tuple(mode for mode in MODES if mode in DATAPLANES and mode != IPVS)
PARTS = (
    *(Part(mode, mode) for mode in _HERE),
    Part(LEGACY, "iptables", _of_a_process),
    Part(BY_IPTABLES, "userspace", _of_a_process, rules="iptables"),
    *(Part(f"agent-{mode}", mode, _of_a_watch if mode in IN_A_CLUSTER else _of_a_process) for mode in _HERE),
    *(Part(f"kube-proxy-{mode}", mode) for mode in KUBE_PROXY),
)
# Apart from the others: a kernel that has IPVS may be user-mode Linux, where collecting the cases of all others takes minutes.
_SAMPLES = {
    True: Part(IPVS, IPVS, chosen=sample),
    False: Part(IPVS_BY_IPTABLES, IPVS, chosen=brief, rules=IPVS_BY_IPTABLES),
}
_WHOLES = {
    True: Part(IPVS, IPVS),
    False: Part(IPVS_BY_IPTABLES, IPVS, rules=IPVS_BY_IPTABLES),
}
IPVS_SAMPLE = (_SAMPLES[nf_tables.is_there()],) if ipvs.is_there() else ()
IPVS_WHOLE = (_WHOLES[nf_tables.is_there()],) if ipvs.is_there() else ()
IPVS_UPSTREAM = (Part(f"kube-proxy-{IPVS}", IPVS),) if ipvs.is_there() and nf_tables.is_there() else ()


@dataclass(frozen=True, slots=True)
class Group:
    """What a part plays of one step of a scenario: a test. Its cases are asked together with all others of the round."""

    part: Part
    round_: Round
    cases: tuple[Case, ...]

    @property
    def id(self) -> str:
        return f"{self.cases[0].step}:{self.part}"


def groups_of(parts: Iterable[Part]) -> Iterator[Group]:
    """Every case that they play."""
    for part in parts:
        for round_ in part.rounds():
            for _, cases in itertools.groupby(round_.cases, lambda case: case.step):
                yield Group(part, round_, tuple(cases))


def parameters_of(parts: Iterable[Part]) -> list[ParameterSet]:
    """The parameters of a test."""
    return [pytest.param(group, id=group.id) for group in groups_of(parts)]
