"""The two that are compared, each in a network namespace of its own with the same addresses: the real kube-proxy, and we."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.controlplane import ControlPlane
from tests.kernel.iptables.api import Mark
from tests.kernel.iptables.tables import Tables, parse
from tests.netns.namespace import Namespace
from tests.netns.peers import ROOT
from tests.netns.topology import NODE, NODE_ALTERNATIVE, NODE_NAME
from tests.polling import eventually

BACKENDS = ("nft", "legacy")
SYNC_WITHIN_S = 60
SAVES = ("iptables", "ip6tables")
TOOLS = tuple(f"{family}{action}" for family in SAVES for action in ("", "-save", "-restore"))


@dataclass(frozen=True, slots=True)
class Setting:
    """What differs from a proxy's defaults in one comparison."""

    name: str
    detect: str = "ClusterCIDR"
    cluster_cidrs: tuple[str, ...] = ("10.244.0.0/16", "fd00:244::/32")
    masquerade_all: bool = False
    masquerade_bit: int = 14
    localhost: bool = True
    node_port_addresses: tuple[str, ...] = ()
    liberal: bool = False


def kube_proxy_configuration(setting: Setting, kubeconfig: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "nodePortAddresses": list(setting.node_port_addresses),
        "detectLocalMode": setting.detect,
        "clusterCIDR": ",".join(setting.cluster_cidrs) if setting.detect == "ClusterCIDR" else "",
        "detectLocal": {"bridgeInterface": "cni0", "interfaceNamePrefix": "veth"},
        "iptables": {
            "masqueradeAll": setting.masquerade_all,
            "masqueradeBit": setting.masquerade_bit,
            "localhostNodePorts": setting.localhost,
            "minSyncPeriod": "0.1s",
            "syncPeriod": "5s",
        },
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
            "tcpBeLiberal": setting.liberal,
        },
    }


class Side:
    """A node with one back end of iptables."""

    def __init__(self, namespace: Namespace, backend: str) -> None:
        self.namespace, self.backend = namespace, backend

    def save(self, family: int) -> str:
        return self.namespace.run(f"{SAVES[family == 6]}-{self.backend}-save")

    def tables(self, mark: Mark) -> dict[int, Tables]:
        """The tables of both families once the proxy knows everything that the mark was written behind."""
        return {family: parse(eventually(partial(self.save, family), SYNC_WITHIN_S, every_s=0.2, until=mark.is_in)) for family in (4, 6)}


@contextlib.contextmanager
def side(api: ControlPlane, name: str, backend: str) -> Iterator[Side]:
    """A new node on the control plane's network; gone at the end."""
    attachment = api.attach(name)
    namespace = Namespace(attachment.namespace, name)
    try:
        namespace.ip(
            [
                "link add node type veth peer name nowhere",
                *(f"addr add {pair.v4}/24 dev node" for pair in (NODE, NODE_ALTERNATIVE)),
                *(f"addr add {pair.v6}/64 dev node nodad" for pair in (NODE, NODE_ALTERNATIVE)),
                "link set node up",
            ]
        )
        yield Side(namespace, backend)
    finally:
        api.switch.detach(attachment)


@contextlib.contextmanager
def kube_proxy(api: ControlPlane, place: Side, setting: Setting, folder: Path) -> Iterator[None]:
    """The real kube-proxy in iptables mode; its log is in `folder`."""
    path = folder / "kube-proxy.yaml"
    path.write_text(yaml.safe_dump(kube_proxy_configuration(setting, api.kubeconfig)))
    argv = (str(api.program("kube-proxy")), f"--config={path}", f"--hostname-override={NODE_NAME}")
    with (folder / "kube-proxy.log").open("w") as log:
        process = place.namespace.spawn(*argv, cwd=ROOT, stdout=log, stderr=log, env=environment(place.backend, folder))
        try:
            yield
        finally:
            process.kill()
            process.wait()


def environment(backend: str, folder: Path) -> Mapping[str, str]:
    """An environment in which iptables is that of the back end."""
    tools = folder / f"tools-{backend}"
    tools.mkdir(exist_ok=True)
    for tool in TOOLS:
        family, dash, action = tool.partition("-")
        (tools / tool).unlink(missing_ok=True)
        (tools / tool).symlink_to(f"/usr/sbin/{family}-{backend}{dash}{action}")
    return {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
