"""The response of a health check node port, octet by octet as kube-proxy's (pkg/proxy/healthcheck/service_health.go). Pure.

Every path and method gets the same one. Load balancers keep connections open: the rules of HTTP/1.1 about that are here as well.
"""

from __future__ import annotations

import json
from email.utils import formatdate

from msgspec import Struct

from proxyconfig_agent.report.healthcheck.request import request_of
from proxyconfig_agent.select.healthchecks import HealthCheck

_STATUS = {200: "200 OK", 503: "503 Service Unavailable"}
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"


class Response(Struct, frozen=True):
    octets: bytes
    """Status line, headers and body."""
    keep_alive: bool


def response(head: bytes, check: HealthCheck, *, healthy: bool, now_s: float) -> Response:
    """`head`: the request up to its empty line; `healthy`: this node's rules are up to date; `now_s`: Unix seconds."""
    request = request_of(head)
    if request is None:
        return Response(_BAD_REQUEST, keep_alive=False)
    body, by_default = body_of(check, healthy=healthy), request.version == "1.1"
    lines = [
        f"HTTP/{request.version} {_STATUS[200 if check.local_endpoints and healthy else 503]}",
        "Content-Type: application/json",
        "X-Content-Type-Options: nosniff",
        f"X-Load-Balancing-Endpoint-Weight: {check.local_endpoints}",
        f"Date: {formatdate(now_s, usegmt=True)}",
        f"Content-Length: {len(body)}",
        *([] if request.keep_alive is by_default else ["Connection: keep-alive" if request.keep_alive else "Connection: close"]),
    ]
    return Response("\r\n".join((*lines, "", "")).encode() + (b"" if request.method == b"HEAD" else body), request.keep_alive)


def body_of(check: HealthCheck, *, healthy: bool) -> bytes:
    """Indented with tabs, without a line break at the end."""
    fields = {
        "service": {"namespace": check.service.namespace, "name": check.service.name},
        "localEndpoints": check.local_endpoints,
        "serviceProxyHealthy": healthy,
    }
    return json.dumps(fields, indent="\t").encode()
