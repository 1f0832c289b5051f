"""The samples in manifests/ mean what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.spec.sections import DetectLocalMode, ProxyConfigSpec

SAMPLES = Path(__file__).parents[4] / "manifests" / "samples"
OTHER_MODES = {"ipvs", "userspace"}


def manifests() -> Iterator[Any]:
    for path in sorted(SAMPLES.glob("proxyconfig*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield pytest.param(document, id=f"{path.stem}-{document['metadata']['name']}")


@pytest.mark.parametrize("manifest", list(manifests()))
def test_a_sample_is_valid(manifest: dict[str, Any]) -> None:
    ProxyConfig.parse(manifest)


def test_the_reference_shows_every_field() -> None:
    text = (SAMPLES / "proxyconfig-reference.yaml").read_text()
    fields = msgspec.structs.fields(ProxyConfigSpec)
    nested = (
        (field, inner)
        for field in fields
        if isinstance(field.default, msgspec.Struct)
        for inner in msgspec.structs.fields(type(field.default))
    )
    names = {field.encode_name for field in fields} - OTHER_MODES | {inner.encode_name for _, inner in nested}
    assert {name for name in names if f"{name}:" not in text and f"({name})" not in text} == set()


def test_the_reference_shows_the_defaults() -> None:
    reference = yaml.safe_load((SAMPLES / "proxyconfig-reference.yaml").read_text())
    spec, default = ProxyConfig.parse(reference).spec, ProxyConfigSpec()
    for section in ("conntrack", "masquerade", "sync", "mode", "priority", "rollout"):
        assert getattr(spec, section) == getattr(default, section)
    assert spec.node_addresses == default.node_addresses
    assert msgspec.structs.replace(spec.agent, resources=default.agent.resources) == default.agent


def test_pools_do_not_leave_the_choice_to_age() -> None:
    edge, rest = [ProxyConfig.parse(document) for document in yaml.safe_load_all((SAMPLES / "proxyconfig-pools.yaml").read_text())]
    labels = {"node-role.kubernetes.io/edge": ""}
    assert edge.spec.node_selector.matches(labels)
    assert rest.spec.node_selector.matches(labels)
    assert edge.spec.priority > rest.spec.priority


@pytest.mark.parametrize(
    "labels",
    [
        {"type": "virtual-kubelet"},
        {"eks.amazonaws.com/compute-type": "fargate"},
        {"kubernetes.azure.com/role": "virtual-node"},
    ],
)
def test_virtual_nodes_are_left_out_and_others_are_not(labels: dict[str, str]) -> None:
    selector = ProxyConfig.parse(yaml.safe_load((SAMPLES / "proxyconfig-virtual-nodes.yaml").read_text())).spec.node_selector
    assert not selector.matches(labels)
    assert selector.matches({"kubernetes.io/os": "linux", "eks.amazonaws.com/compute-type": "ec2"})


@pytest.mark.parametrize("manifest", list(manifests()))
def test_no_sample_trusts_podcidrs_that_a_network_plugin_may_not_use(manifest: dict[str, Any]) -> None:
    assert ProxyConfig.parse(manifest).spec.local_traffic.detect_local_mode is DetectLocalMode.CLUSTER_CIDR
