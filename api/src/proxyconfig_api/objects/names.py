"""Names that the operator, the agents and the manifests have to agree on."""

from __future__ import annotations

GROUP = "proxyconfig.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

NAMESPACE = "proxyconfig-system"
"""Where the operator, the agents' DaemonSets and the ControllerRevisions live."""

OPERATOR = "proxyconfig-operator"
"""Field manager, Lease, ServiceAccount and Deployment of the operator."""

AGENT = "proxyconfig-agent"
"""Field manager, ServiceAccount and container name of the agents."""

PROBE = "proxyconfig-probe"
"""Label, container, ServiceAccount and Service of the pods that probe a change on a node. Behind the Service each is alone on its node."""

PROBE_PORT = 8080
"""Of these pods; the Service has it as port 80."""

FINALIZER = f"{GROUP}/agents"
"""Held on a ProxyConfig until its nodes have proven that nothing of it is left in their kernels."""

CONFIG_LABEL = f"{GROUP}/config"
"""On a Node, a DaemonSet, its pods and a ControllerRevision: the ProxyConfig it belongs to."""

LEAVING_LABEL = f"{GROUP}/leaving"
"""On a Node instead of CONFIG_LABEL, by which kube-proxy is kept off: the ProxyConfig whose agent stays until kube-proxy serves."""

POD_REVISION_LABEL = f"{GROUP}/pod-revision"
"""On the pods of agents and their DaemonSet's template: a hash of the template, which names what the pod was made from."""

SCHEDULER_ANNOTATION = f"{GROUP}/ipvs-scheduler"
"""On a Service: how ipvs mode distributes its connections."""

TABLE = "proxyconfig"
"""The nftables tables `ip proxyconfig` and `ip6 proxyconfig`."""

STATE_FOLDER = "/run/proxyconfig"
"""Of a node, mounted into its agent: what a later agent of the same boot has to know."""
