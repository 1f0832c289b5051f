"""What kstatus makes of a ProxyConfig in every state, from the status that the operator writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.api.status.kstatus import kstatus
from tests.unit.operator.builders import X1, config, labelled, pod, proxy, reported, revision, snapshot

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects import names
from proxyconfig_operator.decide.plan import plan_of
from proxyconfig_operator.status.status import status_of

pytestmark = pytest.mark.usefixtures("no_userspace")

OURS = (names.FINALIZER,)


def state_of(spec: Mapping[str, Any], *proxies: Any, generation: int = 1) -> str:
    there = snapshot(
        [config(finalizers=OURS, **spec)], [labelled("n1", "x")], proxies=proxies, pods=[pod("p", "n1")], revisions=[revision(X1, 1)]
    )
    each = there.configs["x"]
    status = codec.builtins(status_of(each, there, plan_of(each, there), ()))
    return kstatus({"metadata": {"generation": generation}, "status": status})


@pytest.mark.parametrize(
    ("spec", "proxies", "state"),
    [
        pytest.param({}, [proxy("n1", revision=X1, **reported(X1))], "Current", id="all-ready"),
        pytest.param({}, [proxy("n1", revision=X1)], "InProgress", id="not-reported"),
        pytest.param({}, [], "InProgress", id="nothing-there-yet"),
        pytest.param({}, [proxy("n1", revision=X1, **reported(X1, ready=False, reason="SyncFailed"))], "InProgress", id="failing"),
        pytest.param({"mode": "userspace"}, [], "Failed", id="refused"),
    ],
)
def test_every_state_is_what_kstatus_says(spec: Mapping[str, Any], proxies: list[Any], state: str) -> None:
    assert state_of(spec, *proxies) == state


def test_a_status_of_an_earlier_generation_is_in_progress() -> None:
    assert state_of({}, proxy("n1", revision=X1, **reported(X1)), generation=2) == "InProgress"
