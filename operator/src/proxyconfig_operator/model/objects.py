"""What the operator sees of other people's objects: only the fields that are decided on are decoded.

Decoding is lenient, because one odd object must not stop the operator: what may be null is `| None`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_api.objects import names
from proxyconfig_api.objects.assignment import kept
from proxyconfig_api.objects.metadata import Metadata as ApiMetadata
from proxyconfig_api.objects.proxyconfig import ProxyConfig, ProxyConfigStatus
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_client.watch.objects import Metadata


class ObjectMeta(Metadata, frozen=True, rename="camel"):
    uid: str = ""
    generation: int = 0
    labels: dict[str, str] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None

    def label(self, key: str) -> str:
        """The value of a label, or nothing."""
        return (self.labels or {}).get(key, "")


class Condition(msgspec.Struct, frozen=True):
    type: str = ""
    status: str = ""
    reason: str | None = None
    message: str | None = None


class NodeStatus(msgspec.Struct, frozen=True):
    conditions: list[Condition] | None = None


class Node(msgspec.Struct, frozen=True):
    metadata: ObjectMeta
    status: NodeStatus = NodeStatus()

    @property
    def ready(self) -> Condition:
        """The Ready condition that kubelet, or for a silent one the control plane, has written."""
        unknown = Condition("Ready", "Unknown", "NoStatus", "the node has not reported yet")
        return next((condition for condition in self.status.conditions or () if condition.type == "Ready"), unknown)

    @property
    def answers(self) -> bool:
        """Whether kubelet reports. One that says Ready=False does: the node may wait for its network, and its agent works."""
        return self.ready.status in ("True", "False")

    @property
    def config_name(self) -> str:
        """The ProxyConfig whose agent it has, by its labels; also one that it leaves."""
        return self.metadata.label(names.CONFIG_LABEL) or self.metadata.label(names.LEAVING_LABEL)


class Reason(msgspec.Struct, frozen=True, rename="camel"):
    """Why a container waits or has ended."""

    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None


class Running(msgspec.Struct, frozen=True):
    """That a container runs; since when is not read."""


class ContainerState(msgspec.Struct, frozen=True):
    waiting: Reason | None = None
    terminated: Reason | None = None
    running: Running | None = None


class ContainerStatus(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()

    @property
    def has_run(self) -> bool:
        ended = self.state.terminated or self.last_state.terminated
        return bool(self.state.running is not None or ended or self.restart_count)


class PodSpec(msgspec.Struct, frozen=True, rename="camel"):
    node_name: str = ""


class PodIP(msgspec.Struct, frozen=True):
    ip: str = ""


class PodStatus(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    reason: str | None = None
    message: str | None = None
    conditions: list[Condition] | None = None
    pod_ips: list[PodIP] | None = msgspec.field(default=None, name="podIPs")
    init_container_statuses: list[ContainerStatus] | None = None
    container_statuses: list[ContainerStatus] | None = None


class Pod(msgspec.Struct, frozen=True):
    metadata: ObjectMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ready(self) -> bool:
        return any(condition.type == "Ready" and condition.status == "True" for condition in self.status.conditions or ())

    @property
    def has_run(self) -> bool:
        """Whether the agent has ever been started in it: then rules of it may be in the kernel."""
        return self.ready or any(each.has_run for each in self.status.container_statuses or ())

    @property
    def ending(self) -> bool:
        return self.metadata.deletion_timestamp is not None

    @property
    def pod_revision(self) -> str:
        """Of the template that it was made of; empty if that told none."""
        return self.metadata.label(names.POD_REVISION_LABEL)

    @property
    def starts(self) -> tuple[str, int]:
        """Another value for each start of the agent."""
        return self.metadata.uid, sum(each.restart_count + each.has_run for each in self.status.container_statuses or ())


class Revision(msgspec.Struct, frozen=True):
    """A ControllerRevision. Its name has a hash of the spec or template that it is of."""

    metadata: ObjectMeta
    revision: int = 0
    data: Mapping[str, Any] | None = None


class DaemonSet(msgspec.Struct, frozen=True):
    """All of the spec: it is compared with the rendered one."""

    metadata: ObjectMeta
    spec: Mapping[str, Any]

    @property
    def pod_revision(self) -> str:
        """Of the pods that are made of it now; empty if its template tells none."""
        labels = (self.spec.get("template") or {}).get("metadata", {}).get("labels") or {}
        return str(labels.get(names.POD_REVISION_LABEL, ""))


class Config(msgspec.Struct, frozen=True):
    """A ProxyConfig, also one that cannot be understood: `problem` says why then, and the spec holds on to the nodes it has."""

    metadata: ApiMetadata
    spec: ProxyConfigSpec
    status: ProxyConfigStatus
    problem: str = ""

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Config:
        """From the object as the API server sends it. Raises InvalidSpec only if it has no usable metadata."""
        try:
            parsed = ProxyConfig.parse(manifest)
        except InvalidSpec as error:
            bare = kept(manifest)
            return cls(bare.metadata, bare.spec, bare.status, str(error))
        return cls(parsed.metadata, parsed.spec, parsed.status)

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def deleting(self) -> bool:
        return self.metadata.deletion_timestamp is not None
