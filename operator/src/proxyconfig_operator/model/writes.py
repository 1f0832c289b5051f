"""What a plan asks to be written, as values; `kube` carries them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal


class Resource(Enum):
    """The resources that the operator writes."""

    PROXY_CONFIG = "ProxyConfig"
    NODE_PROXY = "NodeProxy"
    NODE = "Node"
    DAEMON_SET = "DaemonSet"
    REVISION = "ControllerRevision"
    POD = "Pod"


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply of all that we own in an object, or in its status.

    With `metadata.uid` in the body an object that is gone, or another one of its name, is left alone instead of created anew.
    """

    resource: Resource
    name: str
    body: Mapping[str, Any]
    part: Literal["", "status"] = ""


@dataclass(frozen=True, slots=True)
class Label:
    """Set labels of a node, or (None) remove them, in one patch, whichever manager owns them."""

    node: str
    uid: str
    labels: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete an object, if it is still the one with this uid."""

    resource: Resource
    name: str
    uid: str


Write = Apply | Label | Delete
