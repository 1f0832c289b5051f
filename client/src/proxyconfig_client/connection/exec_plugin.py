"""Credentials from a program that a kubeconfig names, such as `aws eks get-token` (client.authentication.k8s.io).

The program runs when credentials are first needed, and again when they have expired; the process waits for it meanwhile. That suits a
command and a program that is being developed; agents and operator in a cluster have service accounts.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from proxyconfig_client.connection.errors import ConfigurationError

TIMEOUT_S = 60.0
_EARLY = timedelta(seconds=10)
"""Credentials are renewed this long before they expire, so that no request carries expired ones."""


class Credential(NamedTuple):
    """A bearer token, or the PEM of a client certificate and its key; empty where the program gave none."""

    token: str = ""
    certificate: bytes = b""
    key: bytes = b""


class _Status(msgspec.Struct, rename="camel"):
    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime | None = None


class _ExecCredential(msgspec.Struct):
    status: _Status


class ExecPlugin:
    """The `exec` section of a kubeconfig's user."""

    def __init__(self, where: str, section: Mapping[str, Any], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Raises ConfigurationError, which names the kubeconfig `where`, for a section that names no program."""
        self._section, self._now = section, now
        self._credential, self._expires = Credential(), datetime.min.replace(tzinfo=UTC)
        if not isinstance(section, Mapping) or not section.get("command"):
            raise ConfigurationError(f"the kubeconfig {where} has a user whose exec names no command: add one, or use a token")

    def credential(self) -> Credential:
        """The current credential. Raises ConfigurationError with the program's own words."""
        if self._now() + _EARLY >= self._expires:
            status = self._run()
            self._credential = Credential(status.token, status.client_certificate_data.encode(), status.client_key_data.encode())
            self._expires = status.expiration_timestamp or datetime.max.replace(tzinfo=UTC)
        return self._credential

    def _run(self) -> _Status:
        command = [str(self._section["command"]), *map(str, self._section.get("args") or ())]
        try:
            done = subprocess.run(command, env=self._environment(), stdout=subprocess.PIPE, timeout=TIMEOUT_S, check=True)
            return msgspec.json.decode(done.stdout, type=_ExecCredential).status
        except FileNotFoundError:
            hint = self._section.get("installHint") or "install it, or use a token"
            raise ConfigurationError(f"{command[0]}, which gives the kubeconfig's credentials, is not there: {hint}") from None
        except (OSError, subprocess.SubprocessError, msgspec.MsgspecError) as error:
            raise ConfigurationError(f"{command[0]}, which gives the kubeconfig's credentials, failed: {error}") from None

    def _environment(self) -> dict[str, str]:
        info = {
            "apiVersion": self._section.get("apiVersion", "client.authentication.k8s.io/v1"),
            "kind": "ExecCredential",
            "spec": {"interactive": os.isatty(0)},
        }
        added = {str(each["name"]): str(each["value"]) for each in self._section.get("env") or ()}
        return {**os.environ, **added, "KUBERNETES_EXEC_INFO": json.dumps(info)}
