"""The syntax of addresses to listen on: IP:PORT, [IPv6]:PORT or :PORT."""

from __future__ import annotations

import ipaddress


def is_bind_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return bool(colon) and port.isascii() and port.isdigit() and 1 <= int(port) <= 65535 and _is_host(host)


def _is_host(host: str) -> bool:
    try:
        if host.startswith("[") and host.endswith("]"):
            ipaddress.IPv6Address(host[1:-1])
        elif host:
            ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
