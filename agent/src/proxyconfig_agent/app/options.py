"""The agent's command line."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from proxyconfig_agent.report.http.bind_address import Bind
from proxyconfig_api.spec.sections import Mode
from proxyconfig_client.process import logs

HEALTHZ = "0.0.0.0:10256"
METRICS = "127.0.0.1:10249"


class Options(Struct, frozen=True):
    node: str
    kubeconfig: Path | None = None
    config: Path | None = None
    cleanup: bool = False
    init: bool = False
    mode: Mode = Mode.AUTO
    modules: tuple[str, ...] = ()
    log_level: str = "info"
    log_format: logs.Format = "json"
    healthz: Bind | None = None
    metrics: Bind | None = None
    state: Path | None = None


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Options:
    """Parse; a mistake ends the process with a sentence, as argparse does."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        healthz, metrics = Bind.parse(given.healthz_bind_address), Bind.parse(given.metrics_bind_address)
    except ValueError as error:
        parser.error(str(error))
    return Options(
        node=given.node_name or environment.get("NODE_NAME") or platform.node().strip().lower(),
        kubeconfig=given.kubeconfig,
        config=given.config,
        cleanup=given.cleanup,
        init=given.init,
        mode=Mode(given.mode),
        modules=tuple(given.module),
        log_level=given.log_level,
        log_format=given.log_format,
        healthz=healthz,
        metrics=metrics,
        state=given.state_dir,
    )


def _parser() -> argparse.ArgumentParser:
    what = "Programs the Services of a Kubernetes cluster into this node's kernel."
    parser = argparse.ArgumentParser(prog="proxyconfig-agent", description=what)
    add = parser.add_argument
    add("--kubeconfig", type=Path, help="kubeconfig of the API server (default: the service account of the pod)")
    add("--node-name", default="", help="name of this Node (default: $NODE_NAME, else the host name)")
    add("--config", type=Path, help="ProxyConfig manifest to run instead of the NodeProxy; no NodeProxy is read or written")
    add(
        "--cleanup",
        action="store_true",
        help="remove all kernel objects of the agent, and the checkpoint in --state-dir, from this node; print what is left; exit",
    )
    add("--init", action="store_true", help="load the kernel modules of --mode, record them, and exit")
    add("--mode", choices=[mode.value for mode in Mode], default=Mode.AUTO.value, help="with --init: spec.mode (default: %(default)s)")
    add("--module", action="append", default=[], metavar="NAME", help="with --init: an additional module (repeatable)")
    add("--log-level", choices=logs.LEVELS, default="info")
    add("--log-format", choices=("json", "text"), default="json")
    add("--healthz-bind-address", default=HEALTHZ, help="IP:PORT of /healthz, /livez and /readyz; empty: off")
    add("--metrics-bind-address", default=METRICS, help="IP:PORT of /metrics; empty: off")
    add(
        "--state-dir",
        type=Path,
        help="directory for a last-known-good checkpoint, used when the API server is unreachable at boot (default: off)",
    )
    return parser
