"""An agent as a process on a node, with its configuration in a file: any mode may follow any other."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.kernel.traffic.manifest import proxy_config
from tests.support.netns.namespace import Namespace
from tests.support.netns.process import ended, start
from tests.support.netns.topology import NODE_NAME
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS

WITHIN_S = 300
_BACK = "RolledBack"
SHORT = {"tcpTimeout": "30s", "tcpFinTimeout": "10s"}
"""Of a connection to a NodePort IPVS sees no more of the client than the first packet, so it forgets one that the client aborts by this."""


class Agent:
    """`folder` is for its files."""

    def __init__(self, node: Namespace, server: str, folder: Path) -> None:
        self._node, self._folder = node, folder
        self._log, self._manifest = folder / "agent.log", folder / "proxyconfig.json"
        context = {"cluster": "api", "user": "agent"}
        kubeconfig = {
            "clusters": [{"name": "api", "cluster": {"server": server}}],
            "users": [{"name": "agent", "user": {"token": "none"}}],
            "contexts": [{"name": "api", "context": context}],
            "current-context": "api",
        }
        (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
        self.mode, self._seen = "", 0

    @contextlib.contextmanager
    def running(self, mode: str) -> Iterator[None]:
        self._order(mode)
        with contextlib.ExitStack() as self._process:
            self._start()
            self.await_phase("Committed")
            yield

    def change(self, mode: str, **rollout: Any) -> None:
        """To another mode; return when the change is over. What the old one still has may go later."""
        self.begin(mode, **rollout)
        self.await_phase("Committed")

    def begin(self, mode: str, **rollout: Any) -> None:
        """Order another mode, with these fields of spec.rollout."""
        self._seen = len(self.said())
        self._order(mode, **rollout)

    def await_phase(self, phase: str) -> Mapping[str, Any]:
        """Until the change that was begun last has come to this phase; the log's line about it. Fails at once if the node has gone back."""

        def reached() -> Mapping[str, Any]:
            said = self.said()[self._seen :]
            phases = {line["phase"]: line for line in said if line["event"] == "change"}
            if phase != _BACK and _BACK in phases:
                pytest.fail(f"the node is back, and will not be {phase}: {phases[_BACK]['message']}")
            assert phase in phases, f"not {phase}; since the order the agent said {said}"
            return phases[phase]

        return eventually(reached, within_s=WITHIN_S)

    def kill(self) -> None:
        """End it at once, as the kernel's OOM killer would."""
        self._process.close()

    def restart(self) -> None:
        """Start it again after `kill`, with the same order; its log begins anew."""
        self._start()

    def said(self) -> list[Mapping[str, Any]]:
        """What it has logged so far, in whole lines."""
        *lines, _ = self._log.read_bytes().split(b"\n")
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def serves_in(self) -> str:
        """The mode, as its port for metrics says."""

        def asked() -> str:
            connection = http.client.HTTPConnection("127.0.0.1", 10249, timeout=30)
            with contextlib.closing(connection):
                connection.request("GET", "/proxyMode")
                return connection.getresponse().read().decode()

        return self._node.call(asked)

    def _start(self) -> None:
        where = (f"--kubeconfig={self._folder / 'kubeconfig'}", f"--node-name={NODE_NAME}", f"--config={self._manifest}")
        self._seen = 0
        self._process.enter_context(ended(start(self._node, (sys.executable, "-m", "proxyconfig_agent", *where), self._log)))

    def _order(self, mode: str, **rollout: Any) -> None:
        """At once, as with the ConfigMap of a pod."""
        scratch = self._manifest.with_suffix(".tmp")
        manifest = proxy_config(CONFIGS["default"], mode)
        manifest["spec"]["rollout"] = {"holdPeriod": "1s", **rollout}
        if mode == "ipvs":
            manifest["spec"]["ipvs"] = SHORT
        scratch.write_text(json.dumps(manifest))
        scratch.replace(self._manifest)
        self.mode = mode
