"""Addresses to listen on, as kube-proxy completes them."""

from __future__ import annotations

import ipaddress

HEALTHZ_PORT, METRICS_PORT = 10256, 10249


def with_port(address: str, port: int) -> str:
    """`address` with `port` if it has none (proxyutil.AppendPortIfNeeded); what is no IP address stays as it is."""
    try:
        host = ipaddress.ip_address(address)
    except ValueError:
        return address
    return f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}"


def default_hosts(bind_address: str) -> tuple[str, str]:
    """Of /healthz and /metrics, by the family of `bindAddress` (defaults.go, getDefaultAddresses)."""
    try:
        is_v4 = ipaddress.ip_address(bind_address).version == 4
    except ValueError:
        is_v4 = False
    return ("0.0.0.0", "127.0.0.1") if is_v4 else ("::", "::1")  # noqa: S104 - kube-proxy's default, which is compared with
