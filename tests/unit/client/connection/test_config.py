from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxyconfig_client.connection.config import from_kubeconfig, in_cluster
from proxyconfig_client.connection.errors import ConfigurationError


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    folder = tmp_path_factory.mktemp("identity")
    certificate, key = folder / "tls.crt", folder / "tls.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=test"]
    subprocess.run([*command, "-days", "1", "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key


def kubeconfig(folder: Path, cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **changes: Any) -> Path:
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1:6443"} | (cluster or {})}],
        "users": [{"name": "u", "user": user or {}}],
    } | changes
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_token_is_used(tmp_path: Path) -> None:
    config = from_kubeconfig(kubeconfig(tmp_path, user={"token": "secret"}))
    assert (config.server, config.bearer()) == ("https://192.0.2.1:6443", "secret")


def test_a_rotated_token_file_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    config = from_kubeconfig(kubeconfig(tmp_path, user={"tokenFile": "token"}))
    assert config.bearer() == "first"
    (tmp_path / "token").write_text("second\n")
    assert config.bearer() == "second"


@pytest.mark.parametrize("inline", [pytest.param(True, id="inline"), pytest.param(False, id="files")])
def test_a_client_certificate_is_loaded(tmp_path: Path, identity: tuple[Path, Path], inline: bool) -> None:
    certificate, key = identity
    if inline:
        user = {
            name + "-data": base64.b64encode(p.read_bytes()).decode()
            for name, p in (("client-certificate", certificate), ("client-key", key))
        }
        cluster = {"certificate-authority-data": base64.b64encode(certificate.read_bytes()).decode()}
    else:
        user, cluster = {"client-certificate": str(certificate), "client-key": str(key)}, {"certificate-authority": str(certificate)}
    config = from_kubeconfig(kubeconfig(tmp_path, cluster=cluster, user=user))
    assert config.tls is not None
    assert len(config.tls.newest().get_ca_certs()) == 1


def test_an_insecure_cluster_is_not_verified(tmp_path: Path) -> None:
    config = from_kubeconfig(kubeconfig(tmp_path, cluster={"insecure-skip-tls-verify": True}))
    assert config.tls is not None
    assert not config.tls.newest().check_hostname


def test_another_context_can_be_named(tmp_path: Path) -> None:
    contexts = [{"name": "here", "context": {"cluster": "gone"}}, {"name": "there", "context": {"cluster": "c", "user": "u"}}]
    assert from_kubeconfig(kubeconfig(tmp_path, contexts=contexts), "there").server.endswith(":6443")


@pytest.mark.parametrize(
    ("cluster", "user", "changes", "sentence"),
    [
        pytest.param({}, {}, {"current-context": ""}, "no current-context", id="no-context"),
        pytest.param({}, {}, {"current-context": "elsewhere"}, "has no context 'elsewhere'; it has here", id="unknown-context"),
        pytest.param({}, {}, {"clusters": []}, "has no cluster 'c'; it has none", id="no-cluster"),
        pytest.param({"server": "192.0.2.1"}, {}, {}, "must begin with https://", id="no-scheme"),
        pytest.param({"server": "https://:443"}, {}, {}, "must be https://HOST:PORT", id="no-host"),
        pytest.param({"server": "https://a:port"}, {}, {}, "must be https://HOST:PORT", id="no-port"),
        pytest.param({"server": "https://a:65536"}, {}, {}, "must be https://HOST:PORT", id="high-port"),
        pytest.param({"server": "https://[::1"}, {}, {}, "must be https://HOST:PORT", id="half-address"),
        pytest.param({"server": f"https://{'a' * 64}.example"}, {}, {}, "must be https://HOST:PORT", id="long-label"),
        pytest.param({"server": f"https://{'ä' * 64}.example"}, {}, {}, "must be https://HOST:PORT", id="long-label-of-another-script"),
        pytest.param({"server": "https://a..b"}, {}, {}, "must be https://HOST:PORT", id="empty-label"),
        pytest.param({}, {"exec": {"command": "x"}}, {}, "x, which gives the kubeconfig's credentials, is not there", id="exec"),
        pytest.param({}, {"exec": {"args": ["x"]}}, {}, "exec names no command", id="exec without a command"),
        pytest.param({}, {"auth-provider": {"name": "gcp"}}, {}, "by auth-provider, which is not supported", id="auth-provider"),
        pytest.param({"certificate-authority": "missing.crt"}, {}, {}, "cannot read .*missing.crt", id="missing-file"),
        pytest.param({"certificate-authority-data": "%%%"}, {}, {}, "is not base64", id="no-base64"),
        pytest.param(
            {"certificate-authority-data": "aGVsbG8="},
            {},
            {},
            "cannot be used: certificate or key not usable",
            id="no-certificate",
        ),
    ],
)
def test_a_bad_kubeconfig_is_one_sentence(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as refusal:
        from_kubeconfig(kubeconfig(tmp_path, cluster, user, **changes))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "content", [pytest.param(b"[", id="broken"), pytest.param(b"\x00\x01", id="binary"), pytest.param(b"hello", id="text")]
)
def test_a_file_that_is_no_kubeconfig_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"the kubeconfig .* is not") as refusal:
        from_kubeconfig(tmp_path / "k")
    assert "\n" not in str(refusal.value)


def test_a_pod_uses_its_service_account(tmp_path: Path, identity: tuple[Path, Path]) -> None:
    (tmp_path / "token").write_text("of the pod")
    (tmp_path / "ca.crt").write_bytes(identity[0].read_bytes())
    config = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)
    assert (config.server, config.bearer()) == ("https://[fd00::1]:6443", "of the pod")


def test_outside_of_a_pod_the_fix_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--kubeconfig"):
        in_cluster({}, tmp_path)


def test_of_several_kubeconfigs_the_first_entry_of_a_name_counts(tmp_path: Path) -> None:
    """As in client-go; files are found from the folder of the kubeconfig that names them."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(name)
    first = kubeconfig(tmp_path / "first", users=[{"name": "other", "user": {"token": "x"}}], **{"current-context": None})
    second = kubeconfig(tmp_path / "second", cluster={"server": "https://192.0.2.2"}, user={"tokenFile": "token"})
    config = from_kubeconfig([first, second])
    assert (config.server, config.bearer()) == ("https://192.0.2.1:6443", "second")


def test_an_address_needs_no_codec_for_names_in_other_scripts(tmp_path: Path) -> None:
    """It costs a process 0.3 MiB."""
    code = f"""
import sys
from pathlib import Path
from proxyconfig_client.connection.config import from_kubeconfig
from_kubeconfig(Path({str(kubeconfig(tmp_path, {"server": "https://192.0.2.1:6443"}))!r}))
print("encodings.idna" in sys.modules)
"""
    assert subprocess.run((sys.executable, "-c", code), check=True, capture_output=True, text=True).stdout == "False\n"
