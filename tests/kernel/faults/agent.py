"""The agent as a process on the node under test, ordered by a NodeProxy and a ControllerRevision as an operator would write them."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.apiserver.objects import PROXIES, REVISIONS, Api
from tests.cluster.controlplane import ControlPlane
from tests.kernel.traffic.manifest import proxy_config
from tests.support.netns.process import working
from tests.support.netns.programs import ROOT
from tests.support.netns.topology import NODE_NAME, Topology
from tests.support.polling import eventually
from tests.support.scenarios.configs import CONFIGS

from proxyconfig_api.objects.names import API_VERSION, NAMESPACE
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.objects.revision import revision_of

NODE_PROXY, ALL_EVENTS = f"{PROXIES}/{NODE_NAME}", "/apis/events.k8s.io/v1/events"
METRICS, HEALTH = ("127.0.0.1", 10249), ("127.0.0.1", 10256)


def order(api: ControlPlane, action: str = "Apply", **spec: Any) -> None:
    """Tell the node's agent to run the default configuration with these fields of the spec changed."""
    manifest = proxy_config(CONFIGS["default"])
    manifest["spec"] |= spec
    revision = revision_of("default", ProxyConfig.parse(manifest).spec)
    metadata = {"name": revision.name, "namespace": NAMESPACE}
    node_proxy = {
        "apiVersion": API_VERSION,
        "kind": "NodeProxy",
        "metadata": {"name": NODE_NAME},
        "spec": {"configName": "default", "revisionName": revision.name, "action": action},
    }
    objects = Api(api)
    objects.apply(
        f"{REVISIONS}/{revision.name}",
        {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "revision": 1, "data": revision.content},
    )
    objects.apply(NODE_PROXY, node_proxy)


def forget(api: ControlPlane) -> None:
    """Delete the orders, and the Events of all namespaces."""
    objects = Api(api)
    objects.delete(PROXIES)
    for namespace in {event["metadata"]["namespace"] for event in objects.every(ALL_EVENTS)}:
        objects.delete(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events")


class Agent:
    """An agent that is started, killed and asked. `prefix` goes before its command line, `options` behind it."""

    def __init__(self, api: ControlPlane, topology: Topology, log: Path) -> None:
        self._api, self._topology, self._log = api, topology, log
        self._process: subprocess.Popen[str] | None = None
        self._sessions: list[int] = []
        self.prefix: Sequence[str] = ()
        self.options: Sequence[str] = ()

    def start(self) -> None:
        where = (f"--kubeconfig={self._api.kubeconfig}", f"--node-name={NODE_NAME}")
        argv = (*self.prefix, sys.executable, "-m", "proxyconfig_agent", *where, *self.options)
        with self._log.open("a") as output:
            self._process = self._topology.node.spawn(*argv, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)
        self._sessions.append(self._process.pid)

    def kill(self) -> None:
        """End it at once, as the kernel's OOM killer would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def end(self) -> None:
        """Kill it, and wait for the programs that it had started: nothing writes rules any more."""
        self.kill()
        eventually(lambda: not any(map(working, self._sessions)), within_s=60)

    def stop(self) -> None:
        """End it in order, as kubelet or systemd would."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=60)
            self._process = None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Started; killed at the end."""
        self.start()
        try:
            yield
        finally:
            self.kill()

    def said(self) -> list[dict[str, Any]]:
        """What it has logged so far, in whole lines."""
        *lines, _ = self._log.read_bytes().split(b"\n")
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def memory(self) -> int:
        """How many lines it has logged: `said()[memory:]` is what comes after."""
        return len(self.said())

    def status(self) -> dict[str, Any]:
        """The status of the node's NodeProxy."""
        status: dict[str, Any] = self._got(NODE_PROXY).get("status", {})
        return status

    def condition(self, kind: str) -> tuple[str, str, str]:
        """Status, reason and message of a condition; empty if there is none."""
        return _condition(self.status(), kind)

    def ready(self) -> bool:
        """Whether it is Ready, by the newest orders: for a moment it may be so by those before, already with the new mode's name."""
        told = self._got(NODE_PROXY)
        status = told.get("status", {})
        return status.get("observedGeneration") == told["metadata"]["generation"] and _condition(status, "Ready")[0] == "True"

    def page(self, path: str) -> str:
        """What its port for metrics answers."""
        return self._topology.node.call(_get, path)[1]

    def asked(self, path: str) -> tuple[int, dict[str, Any]]:
        """What its port for health answers: the status, and the body as JSON. 0 if it does not listen."""
        try:
            status, body = self._topology.node.call(_get, path, HEALTH)
        except OSError:
            return 0, {}
        return status, json.loads(body)

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels, or its value for the labels that `name` has, as the agent tells it now. 0 if it is down."""
        try:
            page = self.page("/metrics")
        except OSError:
            return 0
        return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)$", page, re.MULTILINE))

    def deleted_flows(self, reason: str) -> float:
        """How many UDP flows it has ended for this reason, in both families."""
        return sum(self.metric(f'proxyconfig_conntrack_deleted_total{{ip_family="IPv{family}",reason="{reason}"}}') for family in (4, 6))

    def events(self, reason: str, kind: str) -> list[dict[str, Any]]:
        """Events of this reason about objects of this kind, of all namespaces."""
        items: list[dict[str, Any]] = self._got(ALL_EVENTS)["items"]
        return [event for event in items if event["reason"] == reason and event["regarding"]["kind"] == kind]

    def _got(self, path: str) -> dict[str, Any]:
        """Raises AssertionError where there is nothing, or the API server does not answer, as a busy one may."""
        try:
            found: dict[str, Any] | None = self._api.get(path)
        except (OSError, http.client.HTTPException) as error:
            raise AssertionError(f"GET {path}: {error}") from error
        assert found is not None, f"the API server has nothing at {path}"
        return found

    def serves(self) -> None:
        """Wait until the NodeProxy says that it is ready."""
        eventually(self.ready, within_s=60, every_s=0.2)


def _condition(status: Mapping[str, Any], kind: str) -> tuple[str, str, str]:
    for condition in status.get("conditions", ()):
        if condition["type"] == kind:
            return condition["status"], condition["reason"], condition["message"]
    return "", "", ""


def _get(path: str, port: tuple[str, int] = METRICS) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
