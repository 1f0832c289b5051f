"""One API server for all tests of this folder; each test begins and ends with an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apiserver.fleet import Fleet, clean
from tests.apiserver.objects import Api
from tests.apiserver.process import OperatorProcess
from tests.cluster.controlplane import ControlPlane, controlplane

from proxyconfig_api import names

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    with controlplane() as made:
        made.kubectl("apply", "--server-side", "-f", str(CRDS))
        made.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": names.NAMESPACE}},
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": names.AGENT, "namespace": names.NAMESPACE}},
        )
        yield made


@pytest.fixture
def api(plane: ControlPlane) -> Iterator[Api]:
    made = Api(plane)
    yield made
    clean(made)


@pytest.fixture
def fleet(api: Api) -> Iterator[Fleet]:
    with Fleet(api) as made:
        yield made


@pytest.fixture
def operator(plane: ControlPlane, api: Api, tmp_path: Path) -> Iterator[OperatorProcess]:  # noqa: ARG001 - cleans up after the operator
    with OperatorProcess(plane.kubeconfig, tmp_path / "operator.log", "--removal-deadline", "8") as made:
        yield made
        assert "Traceback" not in made.said(), made.said()
