"""The few settings of the machine itself that a cluster changes: kubelet insists on some, proxies raise the limit of connection tracking.

The last cluster to end puts them back.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.cluster import registry
from tests.cluster.command import succeeds

_BEFORE = registry.FOLDER / "machine.settings"
_SYSCTLS = Path("/proc/sys")
_OF_KUBELET = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
_OF_PROXIES = ("net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_buckets")
_RAISED = {"fs/inotify/max_user_instances": 8192, "fs/inotify/max_user_watches": 524288}  # the defaults are few for several kubelets


def prepare() -> None:
    """Remember the settings that a cluster changes, unless another cluster has done so; raise what several nodes need."""
    succeeds("modprobe", "nf_conntrack")  # else its settings appear only later; where it is built in there is no module
    if not _BEFORE.exists():
        _BEFORE.parent.mkdir(exist_ok=True)
        _BEFORE.write_text(json.dumps({name: _read(name) for name in (*_OF_KUBELET, *_OF_PROXIES, *_RAISED) if (_SYSCTLS / name).exists()}))
    for name, least in _RAISED.items():
        if int(_read(name)) < least:
            (_SYSCTLS / name).write_text(str(least))


def restore() -> None:
    """Put back what was remembered."""
    if not _BEFORE.exists():
        return
    for name, value in json.loads(_BEFORE.read_text()).items():
        if _read(name) != value:
            (_SYSCTLS / name).write_text(value)
    _BEFORE.unlink()


def _read(name: str) -> str:
    return (_SYSCTLS / name).read_text().strip()
