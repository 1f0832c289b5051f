"""Address, TLS and credentials of an API server: from a kubeconfig file, or from the service account of a pod.

A mistake in a kubeconfig is a ConfigurationError of one sentence. The files that a kubeconfig names, and those of a service account, are
read again when they change; the kubeconfig itself is read once, as client-go does it.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from proxyconfig_client.connection.document import read
from proxyconfig_client.connection.errors import ConfigurationError
from proxyconfig_client.connection.exec_plugin import ExecPlugin
from proxyconfig_client.connection.tls import RotatingContext, TlsMaterial

_FILES = {"certificate-authority", "client-certificate", "client-key", "tokenFile"}
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ClientConfig(Struct, frozen=True):
    """A server (scheme, host and port), its TLS, and the bearer token to send."""

    server: str
    tls: RotatingContext | None = None
    token: str = ""
    token_file: Path | None = None
    """Read again for each request, as tokens of service accounts are replaced hourly; takes precedence over `token`, as in client-go."""
    plugin: ExecPlugin | None = None
    """A program that prints credentials; asked where there is no token."""
    source: str = ""
    """Where all that was read, for messages: `context NAME of FILE`."""

    def bearer(self) -> str:
        """The current token; empty if there is none. Raises ConfigurationError if its file cannot be read, or its program fails."""
        if self.token_file is None:
            return self.token or (self.plugin.credential().token if self.plugin else "")
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
        f"https://{authority}",
        RotatingContext(lambda: TlsMaterial(_of_file(account / "ca.crt"))),
        token_file=account / "token",
        source="this pod's service account",
    )


def from_kubeconfig(path: Path | Sequence[Path], context: str = "") -> ClientConfig:
    """The configuration that a kubeconfig's context (default: its current one) describes. Raises ConfigurationError.

    Of several files, as in $KUBECONFIG, the first that has an entry of a name counts, as in client-go."""
    paths = [path] if isinstance(path, Path) else path
    where = os.pathsep.join(map(str, paths))
    document = _merged([_parsed(each) for each in paths])
    name = context or document["current-context"]
    if not name:
        raise ConfigurationError(f"{where} has no current-context: set one with kubectl config use-context, or name one")
    chosen = _entry(where, document, "contexts", "context", str(name))
    cluster = _entry(where, document, "clusters", "cluster", str(chosen.get("cluster", "")))
    user = _entry(where, document, "users", "user", str(chosen["user"])) if chosen.get("user") else {}
    return _config(where, str(name), cluster, user)


def _merged(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    lists = {plural: [entry for each in documents for entry in _entries(each, plural)] for plural in ("contexts", "clusters", "users")}
    return lists | {"current-context": next((each["current-context"] for each in documents if each.get("current-context")), "")}


def _entries(document: Mapping[str, Any], plural: str) -> list[dict[str, Any]]:
    """kubeconfigs are lists of {name, singular: {…}}."""
    entries = document.get(plural)
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _parsed(path: Path) -> dict[str, Any]:
    document = read(path, "kubeconfig")
    if not isinstance(document, dict):
        raise ConfigurationError(f"the kubeconfig {path} is not a mapping of clusters, users and contexts")
    return _absolute(path.parent, document)


def _absolute(folder: Path, document: dict[str, Any]) -> dict[str, Any]:
    """Relative paths in a kubeconfig are relative to its folder."""
    sections: list[Any] = [entry.get(kind) for kind in ("cluster", "user") for entry in _entries(document, f"{kind}s")]
    for section in sections:
        for key in _FILES & (section.keys() if isinstance(section, dict) else set()):
            section[key] = str(folder / str(section[key])) if section[key] else ""
    return document


def _entry(where: str, document: Mapping[str, Any], plural: str, singular: str, name: str) -> dict[str, Any]:
    """The `singular` of the first entry called `name`."""
    for entry in _entries(document, plural):
        if entry.get("name") == name and isinstance(entry.get(singular), dict):
            return dict(entry[singular])
    names = ", ".join(str(entry.get("name")) for entry in _entries(document, plural))
    raise ConfigurationError(f"the kubeconfig {where} has no {singular} {name!r}; it has {names or 'none'}")


def _config(where: str, context: str, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ClientConfig:
    server = _server(where, cluster)
    if user.get("auth-provider"):
        raise ConfigurationError(
            f"the kubeconfig {where} gets its credentials by auth-provider, which is not supported: use a token or a client certificate"
        )
    plugin = ExecPlugin(where, user["exec"]) if user.get("exec") else None
    token_file = user.get("tokenFile")
    return ClientConfig(
        server=server,
        tls=_tls(where, cluster, user, plugin) if server.startswith("https://") else None,
        token=str(user.get("token") or ""),
        token_file=Path(token_file) if token_file else None,
        plugin=plugin,
        source=f"context {context} of {where}",
    )


def _server(where: str, cluster: Mapping[str, Any]) -> str:
    server = str(cluster.get("server") or "").rstrip("/")
    if not server.startswith(("https://", "http://")):
        raise ConfigurationError(f"the kubeconfig {where} has server {server!r}: it must begin with https://")
    try:
        parts = urlsplit(server)
        is_usable = _is_host(parts.hostname or "") and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is none, half an IPv6 address
        is_usable = False
    if not is_usable:
        raise ConfigurationError(f"the kubeconfig {where} has server {server!r}: it must be https://HOST:PORT, with a port from 1 to 65535")
    return server


def _is_host(name: str) -> bool:
    """An address or a name. The codec for names in other scripts (idna) is for these alone: it costs a process 0.3 MiB."""
    if name.isascii():
        return all(0 < len(label) < 64 for label in name.removesuffix(".").split("."))
    return bool(name.encode("idna"))


def _tls(where: str, cluster: Mapping[str, Any], user: Mapping[str, Any], plugin: ExecPlugin | None) -> RotatingContext:
    def read() -> TlsMaterial:
        authority = _content(where, cluster, "certificate-authority")
        if plugin is not None and (credential := plugin.credential()).certificate:
            return TlsMaterial(authority, credential.certificate, credential.key)
        return TlsMaterial(authority, _content(where, user, "client-certificate"), _content(where, user, "client-key"))

    try:
        return RotatingContext(read, verify=not cluster.get("insecure-skip-tls-verify"), server_name=cluster.get("tls-server-name") or None)
    except ConfigurationError as error:
        raise ConfigurationError(f"the kubeconfig {where} cannot be used: {error}") from error


def _content(where: str, section: Mapping[str, Any], key: str) -> bytes:
    """What `<key>-data` holds, or the file that `key` names; nothing if neither is there."""
    if inline := section.get(f"{key}-data"):
        try:
            return base64.b64decode(str(inline), validate=True)
        except binascii.Error as error:
            raise ConfigurationError(f"{key}-data in the kubeconfig {where} is not base64: {error}") from error
    return _of_file(Path(section[key])) if section.get(key) else b""


def _of_file(file: Path) -> bytes:
    """The PEM of a file. An empty one is an error: it would stand for the system's authorities, or for no client certificate."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the certificate or key {file}: {error.strerror or error}") from error
    if not content.strip():
        raise ConfigurationError(f"the certificate or key {file} is empty")
    return content
