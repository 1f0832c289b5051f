"""One round of probes that a pod is to ask, and its answers, as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from proxyconfig_agent.checks.probes.model import Answer, Target

SHARE = 0.8
"""Of the time of a round, for the pod's own probes: the answer arrives within the round, with those that had none."""


class Round(Struct, frozen=True):
    timeout_s: float
    targets: tuple[Target, ...]


def encoded(targets: Iterable[Target], timeout_s: float) -> bytes:
    """For the pod; `timeout_s` is the time that the agent waits for its answer."""
    return msgspec.json.encode(Round(SHARE * timeout_s, tuple(targets)))


def decoded(body: bytes) -> Round:
    """Raises msgspec.MsgspecError."""
    return msgspec.json.decode(body, type=Round)


def answers_encoded(answers: Iterable[Answer]) -> bytes:
    return msgspec.json.encode(tuple(answers))


def answers_decoded(body: bytes) -> tuple[Answer, ...]:
    """Raises msgspec.MsgspecError."""
    return msgspec.json.decode(body, type=tuple[Answer, ...])
