"""What kubectl shows of both kinds: columns, conditions, Events and explanations."""

from __future__ import annotations

import json

import pytest
from tests.e2e.installed import CONFIG, Installed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CONDITIONS = ["Degraded", "OtherProxyPresent", "Overlapping", "Paused", "Progressing", "Ready", "Reconciling", "Stalled"]
COLUMNS = "NAME CONFIG MODE REVISION SERVICES READY REASON AGE DESIRED ACTION ENDPOINTS CHANGE REPAIRS MODULES VERSION MESSAGE"
OF_A_NODE = ["Connected", "ConntrackConfigured", "Degraded", "ModulesLoaded", "OtherProxyPresent", "Programmed", "Ready", "SysctlsApplied"]


def test_a_node_proxy_tells_what_its_node_does(everywhere: Installed) -> None:
    header, *rows = everywhere.kubectl("get", "npx", "-o", "wide").splitlines()
    assert " ".join(header.split()) == COLUMNS
    revision = everywhere.config()["status"]["revision"]
    for row, node in zip(rows, sorted(node["metadata"]["name"] for node in everywhere.objects("nodes")), strict=True):
        name, config, mode, has, services, ready, reason, _, wanted, action = row.split()[:10]
        assert (name, config, mode, has, wanted, action) == (node, CONFIG, "nftables", revision, revision, "Apply")
        assert (ready, reason) == ("True", "Synced")
        assert int(services) >= 1
        assert row.endswith("the Services are in the kernel")


def test_describe_names_conditions_and_events(everywhere: Installed) -> None:
    shown = everywhere.kubectl("describe", "kpx", CONFIG)
    assert (
        sorted(line.split()[1] for line in shown.splitlines() if line.strip().startswith("Type:") and len(line.split()) == 2) == CONDITIONS
    )
    nodes = [node["metadata"]["name"] for node in everywhere.objects("nodes")]
    assert f"{len(nodes)}/{len(nodes)} nodes are ready on" in shown
    assert "proxyconfig-operator" in shown.partition("Events:")[2]
    node = everywhere.kubectl("describe", "npx", nodes[0])
    assert sorted(line.split()[1] for line in node.splitlines() if line.strip().startswith("Type:")) == OF_A_NODE
    assert "Kind:" in node
    assert "concatenated ranges:" in node


def test_explain_has_a_sentence_for_every_field(everywhere: Installed) -> None:
    document = json.loads(everywhere.kubectl("get", "crd", "proxyconfigs.proxyconfig.dev", "-o", "json"))
    schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    for section, content in schema["properties"].items():
        for field in ("", *(f".{name}" for name in content.get("properties", {}))):
            assert _described(content if not field else content["properties"][field[1:]]), f"spec.{section}{field}"
    shown = " ".join(everywhere.kubectl("explain", "kpx.spec.conntrack.min").split())
    assert "Default: 131072. Change: applied live, no restart." in shown
    assert "spec" in everywhere.kubectl("explain", "npx")


def _described(field: dict[str, object]) -> bool:
    return str(field.get("description", "")).endswith(".")


def test_what_is_ready_stays_so_for_wait_in_a_script(everywhere: Installed) -> None:
    words = ("--for=condition=Ready", "--timeout=60s")
    assert everywhere.kubectl("wait", f"kpx/{CONFIG}", *words).strip() == f"proxyconfig.proxyconfig.dev/{CONFIG} condition met"
    assert everywhere.kubectl("wait", "npx", "--all", *words).count("condition met") == len(everywhere.objects("nodes"))
    assert "condition met" in everywhere.kubectl("wait", f"kpx/{CONFIG}", "--for=condition=Reconciling=False", "--timeout=60s")
