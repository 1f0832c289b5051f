"""docs/metrics.md, made from the agent's catalogue: `python -m tests.unit.agent.report.metrics.metricspage` writes it, a test compares."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from proxyconfig_agent.dataplane.metric import Metric
from proxyconfig_agent.dataplane.modes.modes import spec_of
from proxyconfig_agent.report.metrics.definitions import CATALOGUE, NOT_OURS
from proxyconfig_api.spec.modes import BUILT

PAGE = Path(__file__).parents[5] / "docs" / "metrics.md"
HEAD = """# Metrics of the agent

On the address of `spec.agent.metricsBindAddress` (default 127.0.0.1:10249), beside `/healthz`, `/proxyMode` and `/configz`, as at
kube-proxy. Made from `report/metrics/definitions.py` and the modes' `SPEC` by `python -m tests.unit.agent.report.metrics.metricspage`.

Both families are committed together: seconds and times of a sync are the same under `ip_family` IPv4 and IPv6.
"""
OURS = """
## The agent's own
"""
THEIRS = """
## kube-proxy's names
The name, type, labels and buckets of kube-proxy 1.36, for what means the same here; so its dashboards and alerts work, but for panels of
the Go runtime. A metric of one mode is there while that mode runs.
"""
MISSING = """
## What kube-proxy has and the agent has not
Besides these, kube-proxy has the metrics of its runtime (`go_*`, `workqueue_*`, …) and more of its client library (`rest_client_*`:
sizes, rate limits, exec plugins); the agent has `process_*`.

| name | why not |
|---|---|
"""


def page() -> str:
    """The whole page."""
    rows = [*((each, "all") for each in CATALOGUE), *((each, mode.value) for mode in BUILT for each in spec_of(mode).metrics)]
    theirs, ours = ([row for row in rows if row[0].is_kube_proxys is kube_proxys] for kube_proxys in (True, False))
    missing = "".join(f"| `{name}` | {reason} |\n" for name, reason in NOT_OURS.items())
    return HEAD + THEIRS + _table(theirs) + OURS + _table(ours) + MISSING + missing


def _table(rows: Iterable[tuple[Metric, str]]) -> str:
    return "\n| name | type | labels | mode | meaning |\n|---|---|---|---|---|\n" + "".join(_row(*row) for row in rows)


def _row(metric: Metric, mode: str) -> str:
    labels = " ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {mode} | {metric.means} |\n"


if __name__ == "__main__":
    PAGE.write_text(page())
