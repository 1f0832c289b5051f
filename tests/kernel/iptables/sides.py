"""The two that are compared, in two network namespaces with the same addresses: the real kube-proxy, and our agent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import yaml
from tests.cluster.controlplane import ControlPlane
from tests.kernel import kubeproxy
from tests.kernel.iptables.api import Mark
from tests.kernel.iptables.settings import Setting, kube_proxy_configuration, proxy_config
from tests.kernel.iptables.tables import Tables, parse
from tests.kernel.traffic.apiserver import agent_argv
from tests.support.netns.namespace import Namespace
from tests.support.netns.process import ended, start
from tests.support.netns.topology import NODE, NODE_ALTERNATIVE, NODE_NAME
from tests.support.polling import eventually

from proxyconfig_agent.dataplane.modes.ownership import Ownership

BACKENDS = ("nft", "legacy")
SYNC_WITHIN_S = 180
"""A kube-proxy with 20,000 rules on a kernel as a process is not through in less, where other work keeps the machine busy."""
SAVES = ("iptables", "ip6tables")
TOOLS = tuple(f"{family}{action}" for family in SAVES for action in ("", "-save", "-restore"))


class Side:
    """A node with one back end of iptables: the one in which the kubelet has made a chain."""

    def __init__(self, namespace: Namespace, backend: str) -> None:
        self.namespace, self.backend = namespace, backend
        for family in SAVES:
            namespace.run(f"{family}-{backend}", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT")

    def save(self, family: int) -> str:
        return self.namespace.run(f"{SAVES[family == 6]}-{self.backend}-save")

    def tables(self, mark: Mark) -> dict[int, Tables]:
        """The tables of both families once the proxy knows everything that the mark was written behind."""
        return {family: parse(eventually(partial(self.save, family), SYNC_WITHIN_S, every_s=0.5, until=mark.is_in)) for family in (4, 6)}


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
    """The real kube-proxy, in iptables mode with the back end of the place."""
    path = folder / "kube-proxy.yaml"
    path.write_text(yaml.safe_dump(kube_proxy_configuration(setting, api.kubeconfig)))
    argv = (str(api.program("kube-proxy")), f"--config={path}", f"--hostname-override={NODE_NAME}", *kubeproxy.FLAGS)
    log = folder / "kube-proxy.log"
    with kubeproxy.running(partial(start, place.namespace, argv, log, _tools(place.backend, folder)), log):
        yield


@contextlib.contextmanager
def agent(api: ControlPlane, place: Side, setting: Setting, folder: Path) -> Iterator[None]:
    """Our agent. It finds out by itself which iptables the node uses."""
    path = folder / "proxyconfig.yaml"
    path.write_text(yaml.safe_dump(proxy_config(setting)))
    # The kernel gives the number of a namespace that is gone to a new one.
    place.namespace.call(_disown)
    try:
        with ended(start(place.namespace, agent_argv(api.kubeconfig, path), folder / "agent.log")):
            yield
    finally:
        place.namespace.call(_disown)


def _disown() -> None:
    Ownership().release()


def _tools(backend: str, folder: Path) -> Mapping[str, str]:
    """An environment in which `iptables` is that of the back end."""
    tools = folder / "tools"
    tools.mkdir()
    for tool in TOOLS:
        family, dash, action = tool.partition("-")
        (tools / tool).symlink_to(f"/usr/sbin/{family}-{backend}{dash}{action}")
    return {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
