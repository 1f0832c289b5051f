from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.unit.cli.apiserver import Objects, serving
from tests.unit.cli.page import cluster

from proxyconfig_cli.app.main import main


def preflight(held: Objects, folder: Path, *words: str) -> Result:
    with serving(held, folder) as kubeconfig:
        return CliRunner().invoke(main, ["preflight", "--kubeconfig", str(kubeconfig), *words])


def test_a_cluster_needs_no_proxyconfigs_to_be_checked(tmp_path: Path) -> None:
    """Nor kube-proxy's ConfigMap: then its defaults are compared with."""
    held = cluster()
    del held.collections["/apis/proxyconfig.dev/v1alpha1/nodeproxies"]
    del held.objects["/api/v1/namespaces/kube-system/configmaps/kube-proxy"]
    result = preflight(held, tmp_path)
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1), result.output
    assert "its defaults are compared with" in result.stderr
    assert "Note NoAgent: node-1, node-2, node-3, node-4, node-5 and 1 more: no agent yet" in result.stdout


@pytest.mark.parametrize(("words", "named"), [((), "node-5 and 1 more"), (("-o", "wide"), "node-5, node-6")])
def test_wide_names_everything(tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    held = cluster()
    held.collections["/apis/proxyconfig.dev/v1alpha1/nodeproxies"] = []
    assert named in preflight(held, tmp_path, *words).stdout


def test_a_mode_beside_a_file_is_wrong_use(tmp_path: Path) -> None:
    file = tmp_path / "proxyconfig.yaml"
    file.write_text("kind: ProxyConfig")
    assert preflight(cluster(), tmp_path, "-f", str(file), "--mode", "ipvs").exit_code == 2


def test_a_file_that_is_no_proxyconfig_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "other.yaml"
    file.write_text("kind: ConfigMap")
    result = preflight(cluster(), tmp_path, "-f", str(file))
    assert (result.exit_code, result.stderr) == (1, f"Error: {file}: must be a ProxyConfig: kind is ConfigMap\n")
