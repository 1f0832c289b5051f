"""What a health check node port answers, octet by octet as kube-proxy does (pkg/proxy/healthcheck/service_health.go). Pure.

Any path and any method get the same answer. Load balancers keep connections open: the rules of HTTP/1.1 about that are here as well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.utils import formatdate

from proxyconfig_agent.select.healthchecks import HealthCheck

_STATUS = {200: "200 OK", 400: "400 Bad Request", 503: "503 Service Unavailable"}
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"


@dataclass(frozen=True, slots=True)
class Reply:
    octets: bytes
    """What goes over the wire."""
    stays_open: bool


def reply(head: bytes, check: HealthCheck, *, healthy: bool, now_s: float) -> Reply:
    """The answer to a request. `head`: its lines without the empty one at the end; `healthy`: this node's rules can be relied on."""
    request, *lines = head.split(b"\r\n")
    words = request.split(b" ")
    if len(words) != 3 or words[2] not in (b"HTTP/1.0", b"HTTP/1.1"):
        return Reply(_BAD_REQUEST, stays_open=False)
    fields = {name.strip().lower(): value.strip().lower() for name, _, value in (line.partition(b":") for line in lines)}
    new, stays_open = words[2] == b"HTTP/1.1", _stays_open(fields, new=words[2] == b"HTTP/1.1")
    body = body_of(check, healthy=healthy)
    answer = [
        f"HTTP/1.{int(new)} {_STATUS[200 if check.local_endpoints and healthy else 503]}",
        "Content-Type: application/json",
        "X-Content-Type-Options: nosniff",
        f"X-Load-Balancing-Endpoint-Weight: {check.local_endpoints}",
        f"Date: {formatdate(now_s, usegmt=True)}",
        f"Content-Length: {len(body)}",
        *([] if stays_open is new else ["Connection: keep-alive" if stays_open else "Connection: close"]),
    ]
    return Reply("\r\n".join((*answer, "", "")).encode() + (b"" if words[0] == b"HEAD" else body), stays_open)


def body_of(check: HealthCheck, *, healthy: bool) -> bytes:
    """Indented with tabs, without a line break at the end."""
    fields = {
        "service": {"namespace": check.service.namespace, "name": check.service.name},
        "localEndpoints": check.local_endpoints,
        "serviceProxyHealthy": healthy,
    }
    return json.dumps(fields, indent="\t").encode()


def _stays_open(fields: dict[bytes, bytes], *, new: bool) -> bool:
    """A request with a body is answered, but the body is not read: it cannot be told where the next request begins."""
    if fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in fields:
        return False
    wish = fields.get(b"connection", b"")
    return b"close" not in wish if new else b"keep-alive" in wish
