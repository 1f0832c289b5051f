"""Which path answers what, on the two ports of an agent; the paths are kube-proxy's."""

from __future__ import annotations

from collections.abc import Callable

from proxyconfig_agent.report.http.health import Health
from proxyconfig_agent.report.metrics.metrics import Metrics
from proxyconfig_client.http.answer import Answer
from proxyconfig_client.http.server import Routes

_TEXT = "text/plain; charset=utf-8"


def health_routes(health: Health, metrics: Metrics) -> Routes:
    """The health port: what load balancers and kubelet ask."""
    return {
        "/healthz": lambda: metrics.answered("/healthz", health.healthz()),
        "/livez": lambda: metrics.answered("/livez", health.livez()),
        "/readyz": health.readyz,
    }


def metrics_routes(metrics: Metrics, mode: Callable[[], str], configz: Callable[[], bytes]) -> Routes:
    """The metrics port: `mode` in effect as a word, the configuration in effect as JSON. Its /healthz says only that we run."""
    return {
        "/metrics": metrics.page,
        "/healthz": lambda: Answer(200, b"ok", _TEXT),
        "/proxyMode": lambda: Answer(200, mode().encode(), _TEXT),
        "/configz": lambda: Answer(200, configz()),
    }
