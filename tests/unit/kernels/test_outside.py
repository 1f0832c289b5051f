"""Calls from tests on another kernel are answered with what was printed, errors as errors."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.errors import ClusterError
from tests.kernels.outside import Call, answer


def fails() -> None:
    raise ClusterError("it cannot")


def call(name: str, *words: str, **options: Any) -> dict[str, str | None]:
    calls: dict[str, Call] = {"say": lambda *words, times: "\n".join(words * times), "fail": fails, "do": lambda: None}
    answered = answer(calls, json.dumps({"call": name, "words": words, "options": options}).encode())
    assert answered.count(b"\n") == 1, "a line is one answer"
    told: dict[str, str | None] = json.loads(answered)
    return told


def test_what_was_printed_or_why_it_failed_is_the_answer() -> None:
    assert call("say", "one", "two", times=2) == {"printed": "one\ntwo\none\ntwo"}
    assert call("do") == {"printed": None}
    assert call("fail") == {"error": "it cannot"}
