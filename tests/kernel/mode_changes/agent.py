"""An agent as a process on a node, with its configuration in a file: any mode may follow any other."""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.kernel.traffic.manifest import proxy_config
from tests.support.netns.namespace import Namespace
from tests.support.netns.peers import ROOT
from tests.support.netns.process import ended, start
from tests.support.netns.topology import NODE_NAME
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS

WITHIN_S = 120
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
        self.mode = ""

    @contextlib.contextmanager
    def running(self, mode: str) -> Iterator[None]:
        self._order(mode)
        where = (f"--kubeconfig={self._folder / 'kubeconfig'}", f"--node-name={NODE_NAME}", f"--config={self._manifest}")
        with ended(start(self._node, (sys.executable, "-m", "proxyconfig_agent", *where), self._log)):
            self._await_first_sync(0)
            yield

    def change(self, mode: str) -> None:
        """To another mode; return when it serves. What the old one still has may go later."""
        before = len(self.said())
        self._order(mode)
        self._await_first_sync(before)

    def clean_up(self) -> subprocess.CompletedProcess[str]:
        """Run `--cleanup`."""
        argv = self._node.argv(sys.executable, "-m", "proxyconfig_agent", "--cleanup")
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)

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

    def _order(self, mode: str) -> None:
        """At once, as with the ConfigMap of a pod."""
        scratch = self._manifest.with_suffix(".tmp")
        manifest = proxy_config(CONFIGS["default"], mode)
        if mode == "ipvs":
            manifest["spec"]["ipvs"] = SHORT
        scratch.write_text(json.dumps(manifest))
        scratch.replace(self._manifest)
        self.mode = mode

    def _await_first_sync(self, seen: int) -> None:
        def synced() -> bool:
            return any(line["event"] == "synced" and line["reason"] == "start" for line in self.said()[seen:])

        eventually(synced, within_s=WITHIN_S)
