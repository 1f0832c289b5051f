"""An agent that is not heard: its node is not ready, though kubelet says that the node and the pod are."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.apiserver.expect import is_ready, says
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import CONFIGS, Api, config
from tests.apiserver.process import OperatorProcess

GRACE_S, RENEW_S = 15, 2.0
RELISTED_S = 120
"""An agent that falls silent changes no object: it is found with the next look at everything, every 30 s."""
pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]


def test_a_node_whose_agent_is_cut_off_is_not_ready_until_it_is_heard_again(api: Api, fleet: Fleet, account: Path, tmp_path: Path) -> None:
    fleet.renew_s = RENEW_S
    fleet.join("n1", "n2")
    api.apply(f"{CONFIGS}/x", config("x"))
    with OperatorProcess(account, tmp_path / "operator.log", "--heartbeat-grace", str(GRACE_S)) as operator:
        is_ready(api, "x", 2)

        fleet.silent.add("n2")

        ready = says(api, "x", "Ready", "False", "NodesFailing", within_s=RELISTED_S)
        assert "n2: AgentSilent: no heartbeat from the agent" in ready["message"]
        status = api.have(f"{CONFIGS}/x")["status"]
        assert [(each["node"], each["reason"]) for each in status["worstNodes"]] == [("n2", "AgentSilent")]
        fleet.silent.clear()
        is_ready(api, "x", 2)
        assert "Traceback" not in operator.said()


def test_a_node_whose_agent_was_never_heard_is_not_ready(api: Api, fleet: Fleet, account: Path, tmp_path: Path) -> None:
    fleet.renew_s = RENEW_S
    fleet.silent.add("n1")
    fleet.join("n1")
    api.apply(f"{CONFIGS}/x", config("x"))
    with OperatorProcess(account, tmp_path / "operator.log", "--heartbeat-grace", str(GRACE_S)) as operator:
        ready = says(api, "x", "Ready", "False", "NodesFailing", within_s=RELISTED_S)
        assert "n1: NotReported: no report from the agent since its pod started" in ready["message"]
        fleet.silent.clear()
        is_ready(api, "x", 1)
        assert "Traceback" not in operator.said()
