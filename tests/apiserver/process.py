"""The operator as a separate process, as a pod would run it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.apiserver.forked import Forked
from tests.support.polling import eventually


class OperatorProcess:
    """A context manager. `log` is the file with its JSON lines. With an `environment` Python is started in it, else there is ours and
    the operator is forked."""

    def __init__(self, kubeconfig: Path, log: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.log, self._environment = log, environment
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        self._arguments = [
            *("--kubeconfig", str(kubeconfig), "--agent-image", "registry.test/agent:1"),
            *("--healthz-bind-address", f"127.0.0.1:{self.port}", *arguments),
        ]
        self.process: subprocess.Popen[bytes] | Forked

    def __enter__(self) -> OperatorProcess:
        with self.log.open("ab") as log:
            if self._environment is None:
                self.process = Forked(self._arguments, log)
            else:
                command = [sys.executable, "-W", "error", "-m", "proxyconfig_operator", *self._arguments]
                self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, within_s: float = 60) -> int:
        """The exit status."""
        return self.process.wait(within_s)

    def said(self) -> str:
        return self.log.read_text()

    def leads(self) -> bool:
        """Whether it leads and knows everything; waits for an answer."""
        return eventually(lambda: bool(self.health()[1].get("leading")) and "caches filled" in self.said(), within_s=60)

    def cpu_s(self) -> float:
        """Seconds of CPU so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024

    def health(self, path: str = "/healthz") -> tuple[int, dict[str, object]]:
        """Status and content of an answer; status 0 if there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            content = response.read()
            return response.status, json.loads(content) if content.startswith(b"{") else {}
        except OSError:
            return 0, {}
        finally:
            connection.close()
