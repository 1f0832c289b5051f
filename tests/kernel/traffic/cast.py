"""Who plays which part of the behaviour table: our modes and the real kube-proxy all of it, our agent's process what concerns a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from tests.kernel.traffic.inprocess import DATAPLANES
from tests.support.scenarios.cases import Round, rounds_of
from tests.support.scenarios.scenario import MODES, Scenario, load

LEGACY = "iptables-legacy"
"""Our iptables mode where the node uses the other back end."""

KUBE_PROXY = ("nftables", "iptables")
"""The modes of ours that the real kube-proxy has, too."""


def _everything(_: Scenario) -> bool:
    return True


def _of_a_process(scenario: Scenario) -> bool:
    """Whether watches or configuration matter to it: objects that change, every client class, and configurations but the default."""
    return len(scenario.steps) > 1 or scenario.id.startswith("matrix-") or scenario.config != "default"


@dataclass(frozen=True, slots=True)
class Part:
    """A subject by name, in one mode, and the scenarios that it plays."""

    subject: str
    mode: str
    plays: Callable[[Scenario], bool] = _everything

    def __str__(self) -> str:
        return self.subject

    @property
    def is_kube_proxy(self) -> bool:
        return self.subject.startswith("kube-proxy")

    def rounds(self) -> list[Round]:
        return _rounds(self)


@cache
def _rounds(part: Part) -> list[Round]:
    return rounds_of(filter(part.plays, load()), mode=part.mode)


PARTS = (
    *(Part(mode, mode) for mode in MODES if mode in DATAPLANES),
    Part(LEGACY, "iptables", _of_a_process),
    *(Part(f"agent-{mode}", mode, _of_a_process) for mode in MODES if mode in DATAPLANES),
    *(Part(f"kube-proxy-{mode}", mode) for mode in KUBE_PROXY),
)
