"""The programs that are compared: how each is started on the measured node, in each mode. All get the same API server, user and node."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import environment, world
from tests.bench.modes import Mode

METRICS_PORT = 10249


@dataclass(frozen=True, slots=True)
class Place:
    """Where a subject runs."""

    folder: Path
    kubeconfig: Path
    kube_proxy: Path
    """The real binary."""
    agent_python: Path
    """An interpreter with the agent's packages."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A program under measurement. `command` writes its configuration and returns its command line."""

    name: str
    mode: Mode
    command: Callable[[Place], tuple[str, ...]]
    variables: Mapping[str, str]
    tells_stages: bool = False
    """Whether its metrics say how long each stage of a sync took."""

    def environment(self) -> dict[str, str]:
        folder, path = self.mode.folder(), self.variables.get("PATH", os.defpath)
        return {**self.variables, "PATH": f"{folder}:{path}" if folder else path}


KUBE_PROXY, KUBE_PROXY_EAGER, AGENT = "kube-proxy", "kube-proxy-eager", "proxyconfig"
NAMES = (KUBE_PROXY, KUBE_PROXY_EAGER, AGENT)


def subject(name: str, mode: Mode) -> Subject:
    """The program of this name in a mode."""
    if name == AGENT:
        return Subject(name, mode, lambda place: _agent(place, mode), environment.variables(), tells_stages=True)
    pace = {"minSyncPeriod": "1ms"} if name == KUBE_PROXY_EAGER else {}
    return Subject(name, mode, lambda place: _kube_proxy(place, mode, pace), os.environ)


def _kube_proxy(place: Place, mode: Mode, section: Mapping[str, str]) -> tuple[str, ...]:
    configuration = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode.proxy,
        "clientConnection": {"kubeconfig": str(place.kubeconfig)},
        "hostnameOverride": world.NODE,
        "clusterCIDR": world.CLUSTER_CIDR,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": f"127.0.0.1:{METRICS_PORT}",
        # A namespace does not own these limits, and they are not what is measured.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        mode.proxy: section,
    }
    return (str(place.kube_proxy), f"--config={_written(place, 'kube-proxy.json', configuration)}")


def _agent(place: Place, mode: Mode) -> tuple[str, ...]:
    manifest = {
        "apiVersion": "proxyconfig.dev/v1alpha1",
        "kind": "ProxyConfig",
        "metadata": {"name": "bench"},
        "spec": {
            "mode": mode.proxy,
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "localTraffic": {"detectLocalMode": "ClusterCIDR", "clusterCIDRs": [world.CLUSTER_CIDR]},
        },
    }
    return (
        *(str(place.agent_python), "-m", "proxyconfig_agent"),
        *("--kubeconfig", str(place.kubeconfig)),
        *("--node-name", world.NODE),
        *("--config", str(_written(place, "proxyconfig.json", manifest))),
        *("--healthz-bind-address", "127.0.0.1:10256"),
        *("--metrics-bind-address", f"127.0.0.1:{METRICS_PORT}"),
    )


def _written(place: Place, name: str, content: Mapping[str, Any]) -> Path:
    """JSON is YAML."""
    path = place.folder / name
    path.write_text(json.dumps(content, indent=1))
    return path
