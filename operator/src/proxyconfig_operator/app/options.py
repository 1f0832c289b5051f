"""What the operator is started with: flags, and environment variables as their defaults. Validated once, here."""

from __future__ import annotations

import argparse
import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from proxyconfig_api.objects import heartbeat, names
from proxyconfig_client.process import logs
from proxyconfig_operator.model.address import Address


@dataclass(frozen=True, slots=True)
class Settings:
    kubeconfig: Path | None
    """None: the service account of the pod."""
    namespace: str
    identity: str
    """Who holds the Lease: unique among replicas and among their restarts."""
    agent_image: str
    """For ProxyConfigs that name none."""
    health: Address
    removal_deadline_s: float
    """How long nodes have to confirm their cleanup, from the moment at which they are first asked for it."""
    heartbeat_grace_s: float
    """How long an agent may give no sign of life."""
    log_level: str
    log_format: logs.Format


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings of a command line; ends the process with a sentence and status 2 when they cannot be used."""
    parser = _parser(environment)
    given = parser.parse_args(arguments)
    if not given.agent_image:
        parser.error(
            "--agent-image (or AGENT_IMAGE) is empty: name the image that agents run, such as registry.example/proxyconfig-agent:1.0"
        )
    return Settings(
        kubeconfig=given.kubeconfig,
        namespace=given.namespace,
        identity=given.identity,
        agent_image=given.agent_image,
        health=given.healthz_bind_address,
        removal_deadline_s=given.removal_deadline,
        heartbeat_grace_s=given.heartbeat_grace,
        log_level=given.log_level,
        log_format=given.log_format,
    )


def api_server(url: str) -> Address:
    """Host and port of the API server's URL, as agents get them in their environment."""
    parts = urlsplit(url)
    return Address(parts.hostname or "", parts.port or 443)


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="proxyconfig-operator", description=__doc__)
    add = parser.add_argument
    add("--kubeconfig", type=Path, default=None, help="file with the API server and who we are (default: the pod's service account)")
    add("--namespace", default=environment.get("POD_NAMESPACE") or names.NAMESPACE, help="where agents and the Lease live (%(default)s)")
    add("--identity", default=_identity(environment), help="name in the Lease, unique (default: pod or host name and a random part)")
    add("--agent-image", default=environment.get("AGENT_IMAGE", ""), help="image of agents where a ProxyConfig names none")
    add("--healthz-bind-address", type=_address, default=":10358", metavar="[ADDRESS]:PORT", help="/healthz and /readyz (%(default)s: all)")
    add(
        "--removal-deadline",
        type=_seconds,
        default="120",
        metavar="SECONDS",
        help="longest wait of a deleted ProxyConfig for nodes to confirm their cleanup (%(default)s)",
    )
    add(
        "--heartbeat-grace",
        type=_seconds,
        default=f"{heartbeat.GRACE_S:g}",
        metavar="SECONDS",
        help=f"silence after which an agent is not ready (%(default)s); agents renew their Leases every {heartbeat.RENEW_S:g} s",
    )
    add("--log-level", choices=logs.LEVELS, default=environment.get("LOG_LEVEL") or "info")
    add("--log-format", choices=("json", "text"), default=environment.get("LOG_FORMAT") or "json")
    return parser


def _identity(environment: Mapping[str, str]) -> str:
    """A pod keeps its name when its container restarts, so the name alone would let two processes share a Lease."""
    return f"{environment.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:8]}"


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not [ADDRESS]:PORT, such as :10358 or [::1]:10358")
    return Address(host.strip("[]"), int(port))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if seconds < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, such as 120")
    return seconds
