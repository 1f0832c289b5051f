"""The address at which the nodes of a cluster reach its API server.

That is the address in kube-proxy's kubeconfig. The administrator's kubeconfig may hold another one: of a tunnel, a bastion or a
load balancer that only administrators reach.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from tests.cluster.errors import ClusterError
from tests.cluster.kubectl import Kubectl

VARIABLE = "API_SERVER"
KUBECONFIGS = (("kube-system", "kube-proxy"), ("kube-public", "cluster-info"))
"""ConfigMaps with a kubeconfig for nodes: that of kube-proxy (kubeadm, EKS, kind), and that for nodes that join (kubeadm)."""
KEYS = ("kubeconfig.conf", "kubeconfig")
HTTPS = 443


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """`host` is an IP address or a name that the DNS of the nodes knows; `source` says where it was found."""

    host: str
    port: int
    source: str


def server_address(kubectl: Kubectl, environment: Mapping[str, str]) -> ServerAddress:
    """Return the address from API_SERVER, else from a ConfigMap of KUBECONFIGS, else from the Service `kubernetes`.

    Raises ClusterError if there is none, or if API_SERVER is no address.
    """
    if chosen := environment.get(VARIABLE):
        return parsed(chosen)
    found = (_of_configmap(kubectl, namespace, name) for namespace, name in KUBECONFIGS)
    address = next((each for each in found if each), None) or of_slice(kubectl.get("endpointslices", "default", "kubernetes"))
    if address is None:
        raise ClusterError(f"this cluster does not say where nodes reach its API server: set {VARIABLE}=HOST:PORT.")
    return address


def parsed(chosen: str) -> ServerAddress:
    """Return the address in `HOST:PORT`, `[IPv6]:PORT` or a URL; the port of a URL without one is 443.

    Raises ClusterError.
    """
    url = urlsplit(chosen if "://" in chosen else f"https://{chosen}")
    address = _of_url(url, VARIABLE)
    if address is None or ("://" not in chosen and not _port(url)):
        raise ClusterError(f"{VARIABLE}: must be HOST:PORT such as 192.0.2.10:6443 or [2001:db8::10]:6443, not {chosen}")
    return address


def of_slice(found: Mapping[str, Any]) -> ServerAddress | None:
    """Return the first address of the EndpointSlice of the Service `kubernetes`, where each API server enters its own."""
    addresses = sorted(address for endpoint in found.get("endpoints") or () for address in endpoint["addresses"])
    if not addresses:
        return None
    source = "the Service kubernetes"
    if len(addresses) > 1:
        source += f", the first of {len(addresses)}; if they have a load balancer, set {VARIABLE} to it"
    return ServerAddress(addresses[0], found["ports"][0]["port"], source)


def _of_configmap(kubectl: Kubectl, namespace: str, name: str) -> ServerAddress | None:
    data = kubectl.get("configmaps", namespace, name).get("data") or {}
    text = next((data[key] for key in KEYS if key in data), "")
    return _of_url(urlsplit(_server(kubectl, text)), f"the ConfigMap {namespace}/{name}") if text else None


def _server(kubectl: Kubectl, kubeconfig: str) -> str:
    """Return the server of a kubeconfig's first cluster; cluster-info has no context."""
    with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as file:
        file.write(kubeconfig)
        file.flush()
        return Kubectl(kubectl.program, Path(file.name))("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")


def _of_url(url: SplitResult, source: str) -> ServerAddress | None:
    port = _port(url)
    return ServerAddress(url.hostname, port or HTTPS, source) if url.hostname and port != 0 else None


def _port(url: SplitResult) -> int | None:
    """The port; None where the URL has none, 0 where it is no port."""
    try:
        return url.port
    except ValueError:
        return 0
