"""Which kubeconfig a command uses: the one that kubectl uses."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from proxyconfig_cli.cluster.connection import config_of
from proxyconfig_client.connection.errors import ConfigurationError


def write(path: Path, server: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "current-context": "here",
        "contexts": [{"name": name, "context": {"cluster": name}} for name in ("here", "there")],
        "clusters": [{"name": "here", "cluster": {"server": server}}, {"name": "there", "cluster": {"server": "http://there"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_named_kubeconfig_comes_first(tmp_path: Path) -> None:
    write(tmp_path / ".kube" / "config", "http://home")
    named, listed = write(tmp_path / "named", "http://named"), write(tmp_path / "listed", "http://listed")
    environment = {"KUBECONFIG": f"{tmp_path}/absent:{listed}"}
    assert config_of(str(named), "", environment, tmp_path).server == "http://named"
    assert config_of("", "", environment, tmp_path).server == "http://listed"
    assert config_of("", "there", environment, tmp_path).server == "http://there"
    assert config_of("", "", {}, tmp_path).server == "http://home"


def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read the kubeconfig /nowhere"):
        config_of("", "", {"KUBECONFIG": "/nowhere"}, tmp_path)
    with pytest.raises(ConfigurationError, match=r"cannot read the kubeconfig .*/\.kube/config"):
        config_of("", "", {}, tmp_path)


def test_a_pod_without_a_kubeconfig_uses_its_service_account(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="service account"):
        config_of("", "", {"KUBERNETES_SERVICE_HOST": "192.0.2.1", "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)
