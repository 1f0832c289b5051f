"""The page of reasons is current, and no reason in the code is missing in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.reasons.conditionspage import PAGE, page

from proxyconfig_agent.report.reasons import REASONS as OF_AGENTS
from proxyconfig_api.status.reasons import Reason
from proxyconfig_operator.status.reasons import REASONS as OF_THE_OPERATOR

ROOT = Path(__file__).parents[3]
PACKAGES = [
    pytest.param("agent/src/proxyconfig_agent", OF_AGENTS, id="agent"),
    pytest.param("operator/src/proxyconfig_operator", OF_THE_OPERATOR, id="operator"),
]
COMPOUND = re.compile(r"[A-Z][a-z]+(?:[A-Z]+[a-z]*)+")
"""Words such as SyncFailed: reasons, but for the following."""
NO_REASONS = {
    *("ClientIP", "ClusterIP", "ExternalIP", "ExternalName", "InternalIP"),  # values in Services and Nodes
    *("LoadBalancer", "NodeName", "NodePort"),
    *("ToBeDeletedByClusterAutoscaler", "ContainerCreating", "PodInitializing", "PodScheduled"),
    *("ControllerRevision", "DaemonSet", "NodeProxy", "ProxyConfig", "EndpointSlice"),  # kinds
    *("Connected", "ConntrackConfigured", "ModulesLoaded", "SysctlsApplied", "OtherProxyPresent"),  # condition types
    "WaitingForKubeProxy",  # of agents, passed on
    "Following",
    "RolledBack",  # phase of a change
    "NoStatus",
    "RuntimeDefault",  # a value in Pods
    "BearerToken",  # how the kubernetes package names its credentials
}
COMPOSED = {"NotStalled", "NotDegraded", "NoOverlapping"}
"""Made of the type of a condition."""


def literals(package: str) -> Iterator[str]:
    """All strings in the sources of a package, but those of the table itself."""
    for path in (ROOT / package).rglob("*.py"):
        if path.name != "reasons.py":
            yield from (
                node.value
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.Constant) and isinstance(node.value, str)
            )


def test_the_page_says_what_the_tables_say() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.unit.reasons.conditionspage`"


@pytest.mark.parametrize(("package", "reasons"), PACKAGES)
def test_every_reason_in_the_code_has_a_row(package: str, reasons: tuple[Reason, ...]) -> None:
    used = {text for text in literals(package) if COMPOUND.fullmatch(text)}
    assert used - {each.name for each in reasons} - NO_REASONS == set(), "add a row to the package's reasons.py"


@pytest.mark.parametrize(("package", "reasons"), PACKAGES)
def test_every_row_is_about_a_reason_in_the_code(package: str, reasons: tuple[Reason, ...]) -> None:
    assert {each.name for each in reasons} - set(literals(package)) - COMPOSED == set(), (
        "remove the row, and note the change in CHANGELOG.md"
    )


@pytest.mark.parametrize(("package", "reasons"), PACKAGES)
def test_a_row_has_sentences_and_stands_once(package: str, reasons: tuple[Reason, ...]) -> None:
    assert package
    assert len({each.name for each in reasons}) == len(reasons)
    assert [each.name for each in reasons if not each.means.endswith(".") or (each.fix and not each.fix.endswith("."))] == []


def test_every_status_that_kubectl_shows_of_a_proxyconfig_is_in_the_table_for_troubleshooting() -> None:
    shown = {each.name for each in OF_THE_OPERATOR if "`Ready`" in each.where}
    rows = [line for line in (ROOT / "docs" / "troubleshooting.md").read_text().splitlines() if line.startswith("| `")]
    assert shown - set(re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in rows))) == set()
