"""The names that kubectl resolves to our kinds take no name away from anybody else's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.documents import document

HERE = Path(__file__).parent
CRDS = HERE.parents[3] / "crds"
SHARED_WITH_ISTIO = {"proxyconfigs", "proxyconfig"}
"""The kind has the name of Istio's ProxyConfig; docs/gitops.md says to write `proxyconfigs.proxyconfig.dev` in scripts."""


def ours() -> Iterator[dict[str, Any]]:
    for path in CRDS.glob("*.yaml"):
        yield document(path)["spec"]["names"]


def resource_names() -> set[str]:
    return {name for kind in ours() for name in (kind["plural"], kind["singular"], *kind["shortNames"])}


def categories() -> set[str]:
    return {category for kind in ours() for category in kind["categories"]}


def well_known() -> tuple[dict[str, set[str]], set[str]]:
    """Per group the names of its resources; and all categories."""
    known = document(HERE / "wellknown.yaml")
    names = {group: {name for line in lines for name in line.split()} for group, lines in known["names"].items()}
    return names, {name for line in known["categories"] for name in line.split()}


def test_no_name_of_ours_is_one_of_a_well_known_resource_but_that_of_the_kind_itself() -> None:
    names, _ = well_known()
    shared = {group: taken for group, others in names.items() if (taken := resource_names() & others)}
    assert shared == {"networking.istio.io": SHARED_WITH_ISTIO}


def test_our_category_hides_no_resource_and_no_other_category() -> None:
    names, others = well_known()
    assert categories() & (resource_names() | others | set().union(*names.values())) == set()


def test_no_well_known_category_hides_a_resource_of_ours() -> None:
    assert resource_names() & well_known()[1] == set()
