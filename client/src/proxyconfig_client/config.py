"""Address, TLS and credentials of an API server: from a kubeconfig file, or from the service account of a pod.

A mistake in a kubeconfig is a ConfigurationError of one sentence. The files that a kubeconfig names, and those of a service account, are
read again when they change; the kubeconfig itself is read once, as client-go does it.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxyconfig_client.errors import ConfigurationError
from proxyconfig_client.tls import RotatingContext, TlsMaterial

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """A server (scheme, host and port), its TLS, and the bearer token to send."""

    server: str
    tls: RotatingContext | None = None
    token: str = ""
    token_file: Path | None = None
    """Read again for each request, as tokens of service accounts are replaced hourly; takes precedence over `token`, as in client-go."""

    def bearer(self) -> str:
        """The current token; empty if there is none. Raises ConfigurationError if its file cannot be read."""
        if self.token_file is None:
            return self.token
        try:
            return self.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"cannot read the token file {self.token_file}: {error}") from error


def in_cluster(environment: Mapping[str, str] = os.environ, account: Path = SERVICE_ACCOUNT) -> ClientConfig:
    """The configuration of a pod: KUBERNETES_SERVICE_HOST and _PORT, and the mounted service account. Raises ConfigurationError."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise ConfigurationError(
            "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; name a kubeconfig with --kubeconfig"
        )
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if not (account / "token").exists():
        raise ConfigurationError(f"no service account token at {account / 'token'}: mount it, or name a kubeconfig with --kubeconfig")
    return ClientConfig(
        f"https://{authority}", RotatingContext(lambda: TlsMaterial(_of_file(account / "ca.crt"))), token_file=account / "token"
    )


def from_kubeconfig(path: Path, context: str = "") -> ClientConfig:
    """The configuration that a kubeconfig's context (default: its current one) describes. Raises ConfigurationError."""
    document = _parsed(path)
    name = context or document.get("current-context") or ""
    if not name:
        raise ConfigurationError(f"{path} has no current-context: set one with kubectl config use-context, or name one")
    chosen = _entry(path, document, "contexts", "context", str(name))
    cluster = _entry(path, document, "clusters", "cluster", str(chosen.get("cluster", "")))
    user = _entry(path, document, "users", "user", str(chosen["user"])) if chosen.get("user") else {}
    return _config(path, cluster, user)


def _parsed(path: Path) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - 3 MiB that a process in a pod does without

    try:
        document = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"cannot read the kubeconfig {path}: {error.strerror or error}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the kubeconfig {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"the kubeconfig {path} is not a mapping of clusters, users and contexts")
    return document


def _entry(path: Path, document: Mapping[str, Any], plural: str, singular: str, name: str) -> dict[str, Any]:
    """The `singular` of the list element called `name`; kubeconfigs are lists of {name, singular: {…}}."""
    entries = document.get(plural) or []
    names = []
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            names.append(str(entry.get("name")))
            if entry.get("name") == name and isinstance(entry.get(singular), dict):
                return dict(entry[singular])
    raise ConfigurationError(f"the kubeconfig {path} has no {singular} {name!r}; it has {', '.join(names) or 'none'}")


def _config(path: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ClientConfig:
    server = str(cluster.get("server") or "").rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise ConfigurationError(f"the kubeconfig {path} has server {server!r}: it must begin with https://")
    for key in ("exec", "auth-provider"):
        if user.get(key):
            raise ConfigurationError(
                f"the kubeconfig {path} gets its credentials by {key}, which is not supported: use a token or a client certificate"
            )
    token_file = user.get("tokenFile")
    return ClientConfig(
        server=server,
        tls=_tls(path, cluster, user) if server.startswith("https://") else None,
        token=str(user.get("token") or ""),
        token_file=_beside(path, token_file) if token_file else None,
    )


def _tls(path: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> RotatingContext:
    def read() -> TlsMaterial:
        return TlsMaterial(
            _content(path, cluster, "certificate-authority"), _content(path, user, "client-certificate"), _content(path, user, "client-key")
        )

    try:
        return RotatingContext(read, verify=not cluster.get("insecure-skip-tls-verify"), server_name=cluster.get("tls-server-name") or None)
    except ConfigurationError as error:
        raise ConfigurationError(f"the kubeconfig {path} cannot be used: {error}") from error


def _content(path: Path, section: Mapping[str, Any], key: str) -> bytes:
    """What `<key>-data` holds, or the file that `key` names; nothing if neither is there."""
    if inline := section.get(f"{key}-data"):
        try:
            return base64.b64decode(str(inline), validate=True)
        except binascii.Error as error:
            raise ConfigurationError(f"{key}-data in the kubeconfig {path} is not base64: {error}") from error
    if not section.get(key):
        return b""
    return _of_file(_beside(path, section[key]))


def _beside(path: Path, name: object) -> Path:
    """Relative paths in a kubeconfig are relative to its folder."""
    return path.parent / str(name)


def _of_file(file: Path) -> bytes:
    """The PEM of a file. An empty one is an error: it would stand for the system's authorities, or for no client certificate."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the certificate or key {file}: {error.strerror or error}") from error
    if not content.strip():
        raise ConfigurationError(f"the certificate or key {file} is empty")
    return content
