"""The stage of a traffic test: a subject on the node under test, driven from round to round, and the answers of each round's cases."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tests.kernel.traffic.cast import Group, Part
from tests.kernel.traffic.subject import Running, Subject
from tests.support.netns.peers import Answers, Prober
from tests.support.scenarios.asking import asked
from tests.support.scenarios.cases import Case, Round
from tests.support.scenarios.configs import CONFIGS
from tests.support.scenarios.scenario import Result

Report = Callable[[str, object], None]


def expected(case: Case, part: Part) -> Result:
    """What has to become of a case with this subject."""
    return case.expectation.of_kube_proxy if part.is_kube_proxy else case.expectation.result


@dataclass
class Stage:
    """One subject's way through the rounds. Rounds can only go forward; the answers of those that passed are kept."""

    part: Part
    subject: Subject
    probers: Mapping[str, Prober]
    answers: dict[str, Answers] = field(default_factory=dict)
    broken: dict[str, Exception] = field(default_factory=dict)
    _next: int = 0
    _config: str = ""
    _running: Running | None = None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def answers_of(self, case: Case, round_: Round) -> Answers:
        """What happened to the case's flows in its round."""
        rounds = self.part.rounds()
        while self._next <= rounds.index(round_):
            due, self._next = rounds[self._next], self._next + 1
            try:
                self._play(due)
            except Exception as error:
                self.broken[due.id] = error
        if round_.id in self.broken:
            raise AssertionError(f"round {round_.id} could not be played: {self.broken[round_.id]}") from self.broken[round_.id]
        return self.answers[f"{round_.id}/{case.id}"]

    def close(self) -> None:
        self._stack.close()

    def _play(self, round_: Round) -> None:
        if self._config != round_.config or self._running is None:
            self._stack.close()
            self._running = self._stack.enter_context(self.subject.running(CONFIGS[round_.config]))
            self._config = round_.config
        self._running.apply(round_.objects)
        for case, answers in asked(round_.cases, self.probers, lambda case: expected(case, self.part)):
            self.answers[f"{round_.id}/{case.id}"] = answers


class Theatre:
    """A stage at a time: the one before is cleared when another subject is asked for."""

    def __init__(self, engage: Callable[[Part], Subject], probers: Mapping[str, Prober]) -> None:
        self._engage, self._probers = engage, probers
        self._stage: Stage | None = None

    def problems(self, group: Group) -> Iterator[str]:
        """What is wrong with the answers to its cases, by case. Raises AssertionError if the round could not be played."""
        return (f"{case.id}: {problem}" for case, problem in self.verdicts(group) if problem)

    def verdicts(self, group: Group) -> Iterator[tuple[Case, str]]:
        """Its cases, each with what is wrong with its answers; empty if nothing is. Raises as `problems`."""
        stage = self.stage(group.part)
        return ((case, case.judge(expected(case, group.part), stage.answers_of(case, group.round_))) for case in group.cases)

    def stage(self, part: Part) -> Stage:
        """The subject on the node under test."""
        if self._stage is None or self._stage.part != part:
            self.close()
            self._stage = Stage(part, self._engage(part), self._probers)
        return self._stage

    def close(self) -> None:
        if self._stage is not None:
            self._stage.close()
