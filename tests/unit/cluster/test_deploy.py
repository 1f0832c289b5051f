"""The kustomization that `make deploy` applies. That it is a cluster of one node is kubectl's answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cluster.deploy import SINGLE_NODE, Target, is_single_node, overlay
from tests.cluster.kubectl import Kubectl
from tests.cluster.serveraddress import ServerAddress


@pytest.mark.parametrize(("nodes", "single"), [((), False), (("node/a",), True), (("node/a", "node/b"), False)])
def test_a_cluster_of_one_node_is_one_with_a_single_node_object(tmp_path: Path, nodes: tuple[str, ...], single: bool) -> None:
    program = tmp_path / "kubectl"
    program.write_text(f'#!/bin/sh\ncase "$*" in *"get nodes -o name") printf "%s\\n" {" ".join(nodes)} ;; *) exit 1 ;; esac\n')
    program.chmod(0o755)
    assert is_single_node(Kubectl(program, tmp_path / "kubeconfig")) is single


def test_the_component_for_one_node_is_a_path_from_the_kustomization(tmp_path: Path) -> None:
    where = Target(tmp_path / "kubeconfig", "registry.test/operator:1", "registry.test/agent:1")
    made = overlay(where, tmp_path, ServerAddress("192.0.2.1", 6443, "a test"), [SINGLE_NODE])
    (component,) = made["components"]
    assert (tmp_path / component / "kustomization.yaml").resolve() == SINGLE_NODE / "kustomization.yaml"
    assert overlay(where, tmp_path, ServerAddress("192.0.2.1", 6443, "a test"), [])["components"] == []
