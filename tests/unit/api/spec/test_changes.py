"""Which fields differ, and what a change of each does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.documents import document

from proxyconfig_api.spec.changes import FieldChange, changes_of, disruption_of
from proxyconfig_api.values.disruption import Disruption

CRD = document(Path(__file__).parents[4] / "crds" / "proxyconfigs.yaml")
SCHEMA: Mapping[str, Any] = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
INHERITED = "Change: as ", "Change: see "
SENTENCES = {
    "applied live; the agent of a node that is no longer selected removes its rules": Disruption.MOVES_NODES,
    "as nodeSelector": Disruption.MOVES_NODES,
    "restarts the agents": Disruption.RESTARTS_AGENTS,
    "applied live, for new connections": Disruption.NEW_CONNECTIONS,
    "applied live; connections through the process end": Disruption.ENDS_CONNECTIONS,
    "applied live": Disruption.NONE,
}
"""How the descriptions of the CRD begin to tell of it; the first that fits counts."""


def fields(schema: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Each field without inner fields that tells the effect of its change, with that."""
    for name, inner in schema["properties"].items():
        if "properties" in inner:
            yield from fields(inner, f"{above}{name}.")
        else:
            words = " ".join(str(inner.get("description", "")).split())
            if "Change: " in words and not any(each in words and above for each in INHERITED):
                yield above + name, words.partition("Change: ")[2]


@pytest.mark.parametrize(("path", "sentence"), [*fields(SCHEMA)], ids=lambda each: each.split(" ")[0])
def test_the_class_of_every_field_is_what_its_description_says(path: str, sentence: str) -> None:
    assert disruption_of(path) is next(each for words, each in SENTENCES.items() if sentence.startswith(words))


def test_a_change_has_both_values_also_under_a_name_with_dots() -> None:
    before, after = (
        {"kernel": {"sysctls": {"net.core.somaxconn": "1"}}},
        {"kernel": {"sysctls": {"net.core.somaxconn": "2"}}, "mode": "ipvs"},
    )

    assert changes_of(before, after) == (
        FieldChange("kernel.sysctls.net.core.somaxconn", "1", "2", Disruption.NONE),
        FieldChange("mode", None, "ipvs", Disruption.RESTARTS_AGENTS),
    )


@pytest.mark.parametrize(
    ("mode", "before", "after", "expected"),
    [
        ("nftables", "Wait", "Observe", Disruption.RESTARTS_AGENTS),
        ("nftables", "Observe", "Wait", Disruption.RESTARTS_AGENTS),
        ("nftables", "Wait", "Adopt", Disruption.NONE),
        ("iptables", "Observe", "Wait", Disruption.NONE),
        ("auto", "Observe", "Wait", Disruption.NONE),
    ],
)
def test_observing_restarts_the_agents_where_the_mode_has_fewer_capabilities(
    mode: str, before: str, after: str, expected: Disruption
) -> None:
    (change,) = changes_of({"mode": mode, "takeover": before}, {"mode": mode, "takeover": after})
    assert change.disruption is expected
