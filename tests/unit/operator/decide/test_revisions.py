"""Which revision nodes shall be on, and which ones are kept."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator.builders import X1, config, revision

from proxyconfig_operator.decide.revisions import Verdict, superseded, target_of

pytestmark = pytest.mark.usefixtures("no_userspace")


def test_the_first_one_has_number_one_and_holds_what_differs_from_defaults() -> None:
    target = target_of(config(conntrack={"min": 5}), [])

    assert target.create is not None
    assert target.create.body["revision"] == 1
    assert target.create.body["data"] == {"spec": {"conntrack": {"min": 5}}}
    assert target.create.name == target.revision


def test_one_that_is_the_newest_already_is_not_written_again() -> None:
    target = target_of(config(), [revision("x-older", 1), revision(X1, 2)])

    assert (target.revision, target.create, target.pending) == (X1, None, False)


def test_one_that_is_there_and_not_the_newest_becomes_the_newest() -> None:
    target = target_of(config(), [revision(X1, 1), revision("x-newer", 7)])

    assert target.create is not None
    assert (target.create.name, target.create.body["revision"]) == (X1, 8)


@pytest.mark.parametrize(
    ("spec", "verdict", "pending"),
    [
        pytest.param({"rollout": {"paused": True}}, Verdict.PAUSED, False, id="paused-unchanged"),
        pytest.param({"rollout": {"paused": True}, "conntrack": {"min": 5}}, Verdict.PAUSED, True, id="paused-changed"),
        pytest.param({"mode": "userspace"}, Verdict.MODE_NOT_AVAILABLE, True, id="mode"),
        pytest.param({"mode": "auto"}, Verdict.FOLLOW, False, id="auto"),
    ],
)
def test_what_is_not_followed_stays_on_the_newest(spec: dict[str, Any], verdict: Verdict, pending: bool) -> None:
    target = target_of(config(**spec), [revision(X1, 1)])

    assert (target.verdict, target.pending) == (verdict, pending)
    assert (target.revision == X1) is (verdict is not Verdict.FOLLOW)


def test_the_newest_are_kept_and_those_in_use() -> None:
    known = [revision(f"x-{number}", number) for number in range(9)]

    assert [each.name for each in superseded(known, {"x-8", "x-1"}, 5)] == ["x-2", "x-0"]
    assert superseded(known, {"x-8"}, 100) == ()
