"""One API server for all tests of this folder; each test begins and ends with an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.apiserver.fleet import Fleet, clean
from tests.apiserver.objects import Api
from tests.apiserver.process import OperatorProcess
from tests.cluster.controlplane import ControlPlane, controlplane

from proxyconfig_api.objects import names

MANIFESTS = Path(__file__).parents[2] / "manifests" / "base"


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    with controlplane() as made:
        made.kubectl("apply", "--server-side", "-k", str(MANIFESTS))
        made.kubectl("delete", "service", names.PROBE, "-n", names.NAMESPACE)  # tests here count Services
        yield made


@pytest.fixture(scope="session")
def account(plane: ControlPlane) -> Path:
    """A kubeconfig with the rights that the operator has in a cluster, and no others."""
    return plane.token_kubeconfig(names.NAMESPACE, names.OPERATOR)


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
def operator(account: Path, api: Api, tmp_path: Path) -> Iterator[OperatorProcess]:  # noqa: ARG001 - cleans up after the operator
    with OperatorProcess(account, tmp_path / "operator.log", "--removal-deadline", "8") as made:
        yield made
        assert "Traceback" not in made.said(), made.said()


@pytest.fixture
def patient(account: Path, api: Api, tmp_path: Path) -> Iterator[OperatorProcess]:  # noqa: ARG001 - cleans up after the operator
    """An operator whose deadline for removals no test will live to see."""
    with OperatorProcess(account, tmp_path / "operator.log", "--removal-deadline", "600") as made:
        yield made
        assert "Traceback" not in made.said(), made.said()
