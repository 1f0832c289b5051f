"""Kubeconfig files, written as JSON, which is YAML."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tests.cluster.certificates import Pair


def write(path: Path, server: str, authority: Path, user: Pair | str) -> Path:
    """Write a kubeconfig for a user with a client certificate or a token; everything is embedded, so the file can be moved."""
    credentials = (
        {"token": user}
        if isinstance(user, str)
        else {"client-certificate-data": _embedded(user.certificate), "client-key-data": _embedded(user.key)}
    )
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "local", "cluster": {"server": server, "certificate-authority-data": _embedded(authority)}}],
        "users": [{"name": "user", "user": credentials}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": "user"}}],
        "current-context": "local",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def _embedded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
