"""The agent as a separate process, in a network namespace that has an API server and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.apiserver.objects import GROUP, PROXIES, REVISIONS, Api, Object
from tests.cluster.network import Attachment
from tests.support.polling import eventually

from proxyconfig_api.objects.names import API_VERSION

NODE = "here"
SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


class AgentProcess:
    """A context manager: it runs within. `home` is the network namespace; what is in its kernel stays when the process ends."""

    def __init__(self, home: Attachment, kubeconfig: Path, log: Path, *arguments: str) -> None:
        self.log, self._home = log, home
        self._command = [
            *("nsenter", f"--net=/run/netns/{home.namespace}", sys.executable, "-W", "error", "-m", "proxyconfig_agent"),
            *("--kubeconfig", str(kubeconfig), "--node-name", NODE, *arguments),
        ]
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> AgentProcess:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGTERM)

    def end(self, number: signal.Signals | None = None) -> int:
        """Send the signal, if one is given, and wait for the end; the exit status."""
        assert self.process is not None
        if number is not None and self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log lines of an event; all of them for an empty one."""
        complete = self.log.read_bytes().rpartition(b"\n")[0]  # the last line may be half written
        lines = [json.loads(line) for line in complete.splitlines() if line.startswith(b"{")]
        return [line for line in lines if event in ("", line.get("event"))]

    def synced(self, reason: str) -> dict[str, Any]:
        """Wait for a sync of that reason; its log line."""
        return eventually(lambda: [line for line in self.said("synced") if line["reason"] == reason], within_s=60)[-1]


def nft(home: Attachment, *words: str) -> str:
    """What nft prints in the namespace; nothing if it fails."""
    command = ["nsenter", f"--net=/run/netns/{home.namespace}", "nft", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def served(home: Attachment) -> set[str]:
    """The ClusterIPs in the kernel."""
    listing = json.loads(nft(home, "-j", "list", "set", "ip", "proxyconfig", "cluster-ips") or '{"nftables": []}')
    return {str(address) for entry in listing["nftables"] if "set" in entry for address in entry["set"].get("elem", ())}


def order(api: Api, revision: str, spec: Object | None = None, action: str = "Apply") -> None:
    """Order the node to apply a revision, as the operator does it."""
    if api.get(f"{REVISIONS}/{revision}") is None:
        kind = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": revision}}
        api.create(REVISIONS, kind | {"revision": 1, "data": {"spec": spec or {}}})
    wanted = {"configName": "x", "revisionName": revision, "action": action}
    api.apply(f"{PROXIES}/{NODE}", {"apiVersion": API_VERSION, "kind": "NodeProxy", "metadata": {"name": NODE}, "spec": wanted})


def status(api: Api) -> Object:
    """The status that the agent has written, or nothing."""
    found = (api.get(f"{GROUP}/nodeproxies/{NODE}") or {}).get("status", {})
    return dict(found)


def conditions(api: Api) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return {each["type"]: (each["status"], each["reason"]) for each in status(api).get("conditions", ())}


def service(name: str, address: str, **spec: Any) -> Object:
    fields = {"clusterIP": address, "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": fields}


def pid_of(process: AgentProcess) -> int:
    assert process.process is not None
    os.kill(process.process.pid, 0)
    return process.process.pid
