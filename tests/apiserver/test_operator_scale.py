"""200 nodes: nothing in the operator grows faster than they do."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.apiserver.expect import is_ready
from tests.apiserver.fleet import Fleet
from tests.apiserver.objects import CONFIGS, Api, config
from tests.apiserver.process import OperatorProcess

NODES = 200
pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(900)]


def test_nodes_by_the_hundred_are_rolled_out_and_changed(api: Api, fleet: Fleet, account: Path, tmp_path: Path) -> None:
    fleet.join(*(f"n{number:03}" for number in range(NODES)))
    api.apply(f"{CONFIGS}/x", config("x"))

    with OperatorProcess(account, tmp_path / "operator.log") as operator:
        first = is_ready(api, "x", NODES, within_s=360)["revision"]
        cpu_s = operator.cpu_s()
        api.patch(f"{CONFIGS}/x", {"spec": {"masquerade": {"all": True}}})
        second = is_ready(api, "x", NODES, within_s=360)["revision"]

        print(f"{NODES} nodes: {operator.rss_mib()} MiB resident; a changed spec took {operator.cpu_s() - cpu_s:.1f} s of CPU")
        assert second != first
        assert operator.rss_mib() < 200
        assert operator.cpu_s() - cpu_s < 10
        assert "Traceback" not in operator.said()
