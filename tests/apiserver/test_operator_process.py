"""The operator as a process: killed, doubled, started where nothing is ready, cut off from the API server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.apiserver.expect import is_ready, soon
from tests.apiserver.fleet import Fleet
from tests.apiserver.forbidden import forbidden
from tests.apiserver.objects import CONFIGS, LEASES, PROXIES, REVISIONS, Api, config
from tests.apiserver.process import OperatorProcess
from tests.cluster.controlplane import ControlPlane
from tests.support.polling import eventually

from proxyconfig_api.objects import names

pytestmark = pytest.mark.apiserver


def test_killed_in_the_middle_of_a_rollout_the_next_one_ends_it(api: Api, fleet: Fleet, account: Path, tmp_path: Path) -> None:
    nodes = [f"n{number:03}" for number in range(60)]
    fleet.join(*nodes)
    with started(account, tmp_path / "first.log") as first:
        api.apply(f"{CONFIGS}/x", config("x"))
        old = is_ready(api, "x", 60, within_s=60)["revision"]
        with kept(api, nodes[-1], old):  # else it may have ended before it is killed
            api.patch(f"{CONFIGS}/x", {"spec": {"masquerade": {"all": True}}})
            eventually(lambda: len(revisions(api) - {old}) == 1, within_s=60)
            first.send(signal.SIGKILL)
            assert first.ended() == -signal.SIGKILL
    assert old in revisions(api)

    with started(account, tmp_path / "second.log"):
        new = is_ready(api, "x", 60, within_s=60)["revision"]

    assert revisions(api) == {new} != {old}
    assert len([name for name in api.names(REVISIONS) if "-pods-" not in name]) == 2


def test_a_standby_is_healthy_and_takes_over_when_the_leader_is_killed(api: Api, fleet: Fleet, account: Path, tmp_path: Path) -> None:
    fleet.join("n1")
    with started(account, tmp_path / "a.log") as leader, started(account, tmp_path / "b.log", leads=False) as standby:
        api.apply(f"{CONFIGS}/x", config("x"))
        is_ready(api, "x", 1)
        assert soon(lambda: standby.health()[1])["leading"] is False
        assert standby.health("/readyz")[0] == 200

        leader.send(signal.SIGKILL)

        eventually(lambda: standby.health()[1].get("leading"), within_s=60)
        fleet.join("n2")
        is_ready(api, "x", 2)


def test_a_leader_that_is_told_to_stop_hands_over_at_once(api: Api, account: Path, tmp_path: Path) -> None:
    with started(account, tmp_path / "a.log") as leader, started(account, tmp_path / "b.log", leads=False) as standby:
        soon(lambda: standby.health()[0] == 200)

        leader.send(signal.SIGTERM)

        assert leader.ended() == 0
        eventually(lambda: standby.health()[1].get("leading"), within_s=60)
        assert api.have(f"{LEASES}/{names.OPERATOR}")["spec"]["holderIdentity"] == identity_of(standby)


def test_a_leader_that_was_frozen_steps_back_when_it_wakes_up_and_may_lead_again(account: Path, tmp_path: Path) -> None:
    with started(account, tmp_path / "a.log") as leader, started(account, tmp_path / "b.log", leads=False) as standby:
        leader.send(signal.SIGSTOP)
        try:
            eventually(lambda: standby.health()[1].get("leading"), within_s=60)
        finally:
            leader.send(signal.SIGCONT)

        eventually(lambda: leader.health()[1].get("leading") is False, within_s=60)
        assert '"lease lost"' in leader.said()
        standby.send(signal.SIGTERM)
        eventually(lambda: leader.health()[1].get("leading"), within_s=60)


def test_it_goes_on_after_the_api_server_was_away(api: Api, fleet: Fleet, plane: ControlPlane, account: Path, tmp_path: Path) -> None:
    fleet.join("n1")
    with started(account, tmp_path / "operator.log") as operator:
        api.apply(f"{CONFIGS}/x", config("x"))
        is_ready(api, "x", 1)

        plane.stop_server()
        soon(lambda: operator.health()[1].get("leading") is False)  # nobody may lead who cannot renew the Lease
        plane.start_server()

        api.patch(f"{CONFIGS}/x", {"spec": {"masquerade": {"all": True}}})
        fleet.join("n2")
        is_ready(api, "x", 2, within_s=60)
        assert operator.process.poll() is None


def test_logs_are_one_json_object_per_line_and_one_line_per_decision(api: Api, fleet: Fleet, account: Path, tmp_path: Path) -> None:
    fleet.join("n1")
    with OperatorProcess(account, tmp_path / "operator.log", environment=os.environ) as operator:
        api.apply(f"{CONFIGS}/x", config("x"))
        soon(lambda: '"ready":"1/1"' in operator.said())

    lines = [json.loads(line) for line in operator.said().splitlines()]
    decisions = [line for line in lines if line["event"] == "reconciled"]
    assert decisions[0].items() >= {"config": "x", "generation": 1, "prepared": 4, "moved": 2, "level": "info"}.items()
    assert decisions[-1]["ready"] == "1/1"


def test_without_an_api_server_it_ends_with_one_sentence(plane: ControlPlane, tmp_path: Path) -> None:
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(plane.kubeconfig.read_text().replace(plane.server, "https://127.0.0.1:1"))

    status, said = ended("--kubeconfig", str(nowhere), "--agent-image", "x")

    assert status == 1
    assert said["event"].startswith("cannot reach the API server at https://127.0.0.1:1: ")


def test_without_crds_it_ends_with_one_sentence(plane: ControlPlane) -> None:
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/nodeproxies.proxyconfig.dev"
    api = Api(plane)
    manifest = api.have(crd)
    api.delete(crd)
    try:
        soon(lambda: "nodeproxies" not in {each["name"] for each in api.have(f"/apis/{names.API_VERSION}")["resources"]})
        status, said = ended("--kubeconfig", str(plane.kubeconfig), "--agent-image", "x")
    finally:
        kept = {key: manifest["metadata"][key] for key in ("name",)}
        soon(lambda: api.get(crd) is None)
        api.create(crd.rpartition("/")[0], manifest | {"metadata": kept, "status": {}})
        soon(lambda: isinstance(api.every(PROXIES), list))

    assert status == 1
    assert said["event"].endswith("does not serve nodeproxies: kubectl apply -f crds/ first")


@contextmanager
def started(account: Path, log: Path, *, leads: bool = True) -> Iterator[OperatorProcess]:
    with OperatorProcess(account, log) as made:
        assert not leads or made.leads()
        yield made


def kept(api: Api, node: str, revision: str) -> AbstractContextManager[None]:
    """Let no one give a node another revision."""
    spec = {"configName": "x", "revisionName": "another"}
    another = {"apiVersion": names.API_VERSION, "kind": "NodeProxy", "metadata": {"name": node}, "spec": spec}
    return forbidden(
        api,
        names.GROUP,
        "nodeproxies",
        unless=f"object.metadata.name != '{node}' || object.spec.revisionName == '{revision}'",
        message="stays as it is",
        attempt=lambda: api.create(f"{PROXIES}?dryRun=All", another),
    )


def ended(*arguments: str) -> tuple[int, dict[str, str]]:
    """Exit status and the only line of an operator that cannot work."""
    command = [sys.executable, "-W", "error", "-m", "proxyconfig_operator", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    (line,) = done.stderr.splitlines()
    said: dict[str, str] = json.loads(line)
    return done.returncode, said


def revisions(api: Api) -> set[str]:
    return {each["spec"]["revisionName"] for each in api.every(PROXIES)}


def identity_of(operator: OperatorProcess) -> str:
    leading = next(json.loads(line) for line in operator.said().splitlines() if '"leading"' in line)
    return str(leading["identity"])
