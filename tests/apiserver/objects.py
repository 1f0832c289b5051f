"""A small synchronous client for tests, and the objects they make. Speaks as the administrator, or as a user with field manager `user`."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any

import urllib3
from tests.cluster.certificates import Authority
from tests.cluster.controlplane import ControlPlane

from proxyconfig_api.objects import names

GROUP = f"/apis/{names.API_VERSION}"
CONFIGS, PROXIES, NODES = f"{GROUP}/proxyconfigs", f"{GROUP}/nodeproxies", "/api/v1/nodes"
OURS = f"namespaces/{names.NAMESPACE}"
DAEMONSETS, REVISIONS = f"/apis/apps/v1/{OURS}/daemonsets", f"/apis/apps/v1/{OURS}/controllerrevisions"
PODS, LEASES = f"/api/v1/{OURS}/pods", f"/apis/coordination.k8s.io/v1/{OURS}/leases"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"

Object = dict[str, Any]

PULL_ERROR = 'failed to pull and unpack image "registry.test/agent:none": not found'
_BUSY = urllib3.Retry(total=5, connect=0, read=0, status_forcelist=(429,), allowed_methods=None, raise_on_status=False)
"""A server that has just been given CRDs asks for patience."""


@cache
def _pool(authority: Authority) -> urllib3.PoolManager:
    """The administrator's connections, kept from test to test: each new one costs both sides a handshake."""
    admin = authority.client("admin", "system:masters")
    trust = ssl.create_default_context(cafile=str(authority.certificate))
    trust.load_cert_chain(admin.certificate, admin.key)
    return urllib3.PoolManager(ssl_context=trust, maxsize=16, retries=False)


class Api:
    """One API server. Every method raises AssertionError with the server's words for an answer that is not expected."""

    def __init__(self, plane: ControlPlane) -> None:
        self._pool = _pool(plane.authority)
        self._server = plane.server

    def get(self, path: str) -> Object | None:
        """The object, or None if there is none."""
        return self._call("GET", path, absent=True)

    def have(self, path: str) -> Object:
        """The object, which must be there."""
        found = self.get(path)
        assert found is not None, f"there is no {path}"
        return found

    def every(self, path: str) -> list[Object]:
        return list((self._call("GET", path) or {})["items"])

    def names(self, path: str) -> list[str]:
        return sorted(item["metadata"]["name"] for item in self.every(path))

    def create(self, path: str, body: Object) -> Object:
        return self._call("POST", path, body) or {}

    def apply(self, path: str, body: Object, manager: str = "user") -> Object:
        query = f"?fieldManager={manager}&force=true"
        return self._call("PATCH", path + query, body, content_type="application/apply-patch+yaml") or {}

    def patch(self, path: str, body: Object) -> Object:
        return self._call("PATCH", f"{path}?fieldManager=user", body, content_type="application/merge-patch+json") or {}

    def delete(self, path: str) -> None:
        self._call("DELETE", path, absent=True)

    @contextmanager
    def watch(self, path: str) -> Iterator[Iterator[Object]]:
        """The events of a collection from now on, or from `resourceVersion` in the query."""
        joint = "&" if "?" in path else "?"
        response: Any = self._pool.request("GET", f"{self._server}{path}{joint}watch=1", preload_content=False, timeout=60)
        try:
            yield (json.loads(line) for line in response)
        finally:
            response.close()  # a stream in the middle is of no use to anybody else

    def _call(
        self, method: str, path: str, body: Object | None = None, *, content_type: str = "application/json", absent: bool = False
    ) -> Object | None:
        encoded = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        response: Any = self._pool.request(method, self._server + path, body=encoded, headers=headers, timeout=30, retries=_BUSY)
        if response.status == 404 and absent:
            return None
        assert response.status < 300, f"{method} {path}: {response.status} {response.data.decode()[:1000]}"
        found: Object = json.loads(response.data)
        return found


def config(name: str, **spec: Any) -> Object:
    """A ProxyConfig as a user writes it, whose changes reach its nodes in two steps, unless `spec` says otherwise."""
    rollout = {"holdPeriod": "0s", "maxUnavailable": "100%"}
    return {"apiVersion": names.API_VERSION, "kind": "ProxyConfig", "metadata": {"name": name}, "spec": {"rollout": rollout} | spec}


def node(name: str, labels: Mapping[str, str] | None = None) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux", **(labels or {})}}}


def ready(*, holds: bool, reason: str = "", message: str = "") -> Object:
    """A condition Ready, as kubelet and agents write it."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "Ready",
        "status": str(holds),
        "reason": reason or ("Synced" if holds else "NotSynced"),
        "message": message,
        "lastTransitionTime": now,
    }


def pod(name: str, node_name: str, config_name: str, template: Object | None = None) -> Object:
    """An agent's pod, as the DaemonSet controller makes it of a template."""
    labels = {"app.kubernetes.io/name": names.AGENT, names.CONFIG_LABEL: config_name}
    image = "none"
    if template is not None:
        labels, image = template["metadata"]["labels"], template["spec"]["containers"][0]["image"]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": names.NAMESPACE, "labels": labels},
        "spec": {"nodeName": node_name, "serviceAccountName": names.AGENT, "containers": [{"name": names.AGENT, "image": image}]},
    }


def running(*, ready: bool) -> Object:
    """The status of a pod whose container runs."""
    container = {"name": names.AGENT, "ready": ready, "image": "", "imageID": "", "restartCount": 0, "state": {"running": {}}}
    return {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}], "containerStatuses": [container]}


def waiting() -> Object:
    """The status of a pod whose image no registry has."""
    why = {"waiting": {"reason": "ErrImagePull", "message": PULL_ERROR}}
    container = {"name": names.AGENT, "ready": False, "image": "", "imageID": "", "restartCount": 0, "state": why}
    return {"phase": "Pending", "conditions": [ready(holds=False)], "containerStatuses": [container]}


def conditions(status: Mapping[str, Any]) -> dict[str, Object]:
    return {each["type"]: each for each in status.get("conditions", ())}
