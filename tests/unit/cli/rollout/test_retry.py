from __future__ import annotations

import pytest

from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_cli.rollout.retry import refusal


def of(phase: str) -> str:
    status = {"rollout": {"phase": phase}} if phase else {}
    return refusal(ProxyConfig.parse({"metadata": {"name": "default"}, "spec": {}, "status": status}))


@pytest.mark.parametrize("phase", ["Failed", "RollingBack", "RolledBack"])
def test_what_has_failed_can_be_retried(phase: str) -> None:
    assert of(phase) == ""


@pytest.mark.parametrize(
    ("phase", "state"),
    [("Progressing", "is Progressing"), ("Paused", "is Paused"), ("Complete", "is Complete"), ("", "has not begun")],
)
def test_nothing_else_can(phase: str, state: str) -> None:
    words = "and only one that has failed can be retried: see kubectl proxyconfig rollout status default"
    assert of(phase) == f"the rollout of default {state}, {words}"
