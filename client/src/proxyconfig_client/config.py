"""How to reach an API server and who we are there: from a kubeconfig file, or from the service account of a pod.

`connection` uses it. Everything that a user can get wrong in a kubeconfig ends as a ConfigurationError of one sentence.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxyconfig_client.errors import ConfigurationError

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """A server (scheme, host and port), its TLS, and our identity there. Tokens in files rotate: they are read at each request."""

    server: str
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    token: str = ""
    token_file: Path | None = None

    def bearer(self) -> str:
        """The token of this moment, or nothing. Raises ConfigurationError if its file cannot be read."""
        if self.token_file is None:
            return self.token
        try:
            return self.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"cannot read the token file {self.token_file}: {error}") from error


def in_cluster(environment: Mapping[str, str] = os.environ, account: Path = SERVICE_ACCOUNT) -> ClientConfig:
    """The access of a pod: KUBERNETES_SERVICE_HOST and _PORT, and the mounted service account. Raises ConfigurationError."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not port:
        raise ConfigurationError(
            "not in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set; name a kubeconfig with --kubeconfig"
        )
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if not (account / "token").exists():
        raise ConfigurationError(f"no service account token at {account / 'token'}: mount it, or name a kubeconfig with --kubeconfig")
    return ClientConfig(server=f"https://{authority}", tls=_tls_of_file(account / "ca.crt"), token_file=account / "token")


def from_kubeconfig(path: Path, context: str = "") -> ClientConfig:
    """The access that a kubeconfig's context (default: its current one) describes. Raises ConfigurationError."""
    document = _parsed(path)
    name = context or document.get("current-context") or ""
    if not name:
        raise ConfigurationError(f"{path} has no current-context: set one with kubectl config use-context, or name one")
    chosen = _entry(path, document, "contexts", "context", str(name))
    cluster = _entry(path, document, "clusters", "cluster", str(chosen.get("cluster", "")))
    user = _entry(path, document, "users", "user", str(chosen["user"])) if chosen.get("user") else {}
    return _access(path, cluster, user)


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


def _access(path: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ClientConfig:
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
        server_name=cluster.get("tls-server-name"),
        token=str(user.get("token") or ""),
        token_file=_beside(path, token_file) if token_file and not user.get("token") else None,
    )


def _tls(path: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    try:
        authority = _content(path, cluster, "certificate-authority")
        context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        certificate, key = _content(path, user, "client-certificate"), _content(path, user, "client-key")
        if certificate and key:
            _load_identity(context, certificate, key)
    except (ssl.SSLError, UnicodeDecodeError, ValueError) as error:
        raise ConfigurationError(f"a certificate or key in the kubeconfig {path} cannot be used: {error}") from error
    return context


def _content(path: Path, section: Mapping[str, Any], key: str) -> bytes:
    """What `<key>-data` holds, or the file that `key` names; nothing if neither is there."""
    if inline := section.get(f"{key}-data"):
        try:
            return base64.b64decode(str(inline), validate=True)
        except binascii.Error as error:
            raise ConfigurationError(f"{key}-data in the kubeconfig {path} is not base64: {error}") from error
    if not section.get(key):
        return b""
    file = _beside(path, section[key])
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}, the {key} of the kubeconfig {path}: {error.strerror or error}") from error


def _beside(path: Path, name: object) -> Path:
    """Relative paths in a kubeconfig are relative to its folder."""
    return path.parent / str(name)


def _load_identity(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """OpenSSL wants files; these have no name that anybody else could open, and never reach a disk."""
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(certificate + b"\n" + key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _tls_of_file(authority: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(authority))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot use the certificate authority {authority}: {error}") from error
