"""One node: a network namespace on the switch with containerd and kubelet, which look to Kubernetes like a machine.

Besides its network a node has its own mounts and host name (what runs with hostNetwork sees the node's name; /run, /var/lib and
/var/log are the node's own; its mounts vanish with its last process) and its own cgroup. It is entered with nsenter, never
`ip netns exec`: that hides the cgroups.

Pods are joined by the CNI plugin ptp: each pod has a veth and every packet is routed by the node. With the plugin bridge,
replies between two pods of one node pass the bridge below IP, without the NAT that a Service needs, unless the module br_netfilter is
there; with ptp Services work the same on every kernel, hairpin included.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import cgroups, images
from tests.cluster.command import run, succeeds
from tests.cluster.controlplane import DNS_ADDRESS, ControlPlane
from tests.cluster.network import Attachment, write_sysctls
from tests.cluster.process import Process, remembered, start

FIRST_HOST = 10
CNI_PLUGINS = Path("/usr/lib/cni")
SOCKET = "/run/containerd/containerd.sock"
_ROUTER_SYSCTLS = (
    "net/ipv4/ip_forward=1",
    "net/ipv6/conf/all/forwarding=1",
    "net/ipv4/conf/all/rp_filter=0",
    "net/ipv4/conf/default/rp_filter=0",
    "net/ipv4/conf/all/send_redirects=0",  # a pod that reaches itself through its Service leaves by the link that it came in
    "net/ipv4/conf/default/send_redirects=0",
    "net/ipv6/conf/default/accept_dad=0",
)
# Run with the node's own mounts and host name, at first still in the machine's network. The limits of connection tracking belong to the
# machine's first network namespace: as on a real node they are the kernel's, so they are taken along into the node's /proc/sys.
# Other namespaces must not stay alive because this node holds a copy of their mounts, hence the umount.
_MACHINE = """
mount -t tmpfs tmpfs "$1/private"
mkdir "$1/private/upper" "$1/private/work"
for name in nf_conntrack_max nf_conntrack_buckets; do
    [ -e "/proc/sys/net/netfilter/$name" ] || continue
    touch "$1/private/$name"
    mount --bind "/proc/sys/net/netfilter/$name" "$1/private/$name"
done
exec nsenter "--net=/run/netns/$3" sh -ec "$4" sh "$1" "$2"
"""
_NODE = """
for name in nf_conntrack_max nf_conntrack_buckets; do
    [ ! -e "$1/private/$name" ] || mount --bind "$1/private/$name" "/proc/sys/net/netfilter/$name"
done
umount --recursive /run/netns 2>/dev/null || true
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock
mount -t overlay -o "lowerdir=/var/lib,upperdir=$1/private/upper,workdir=$1/private/work" overlay /var/lib
mount --bind "$1/log" /var/log
touch "$1/private/resolv.conf"  # empty: a name that no registry of this cluster has is refused at once, not asked for until a timeout
[ ! -e /etc/resolv.conf ] || mount --bind "$1/private/resolv.conf" /etc/resolv.conf
mount --make-rshared /
hostname "$2"
touch /run/node-is-ready
exec sleep infinity
"""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a cluster, numbered from 1."""

    plane: ControlPlane
    programs: Mapping[str, Path]
    number: int

    @property
    def name(self) -> str:
        """Return the node's name in Kubernetes."""
        return f"node-{self.number}"

    @property
    def host(self) -> int:
        """Return the last part of the node's addresses."""
        return FIRST_HOST + self.number

    @property
    def folder(self) -> Path:
        """Return where its logs, images and volumes are."""
        return self.plane.folder / self.name

    @property
    def attachment(self) -> Attachment:
        """Return its network namespace and addresses."""
        return self.plane.switch.attachment(self.name, self.host)

    @property
    def cgroup(self) -> str:
        """Return the name of its cgroup: as its namespace."""
        return self.attachment.namespace

    @property
    def pod_ranges(self) -> tuple[str, str]:
        """Return the ranges of its pods' addresses, IPv4 and IPv6."""
        return f"10.244.{self.number}.0/24", f"fd00:10:244:{self.number:x}::/64"

    def manifest(self) -> dict[str, Any]:
        """Return the Node object, made before kubelet starts so that its pod ranges are those of the CNI configuration."""
        labels = {
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "topology.kubernetes.io/region": "local",
            "topology.kubernetes.io/zone": f"zone-{self.number}",
        }
        ranges = {"podCIDR": self.pod_ranges[0], "podCIDRs": list(self.pod_ranges)}
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name, "labels": labels}, "spec": ranges}

    def connect(self, others: Sequence[Node]) -> None:
        """Make its network namespace and cgroup, and the routes between its pods and everybody else's."""
        switch = self.plane.switch
        made = switch.attach(self.name, self.host)
        write_sysctls(made.namespace, _ROUTER_SYSCTLS)
        cgroups.create(self.cgroup)
        for pods, address in zip(self.pod_ranges, (made.ipv4, made.ipv6), strict=True):
            switch.route(switch.namespace, pods, address)  # the API server's pod proxy, and webhooks
        for other in others:
            for pods, address in zip(other.pod_ranges, (other.attachment.ipv4, other.attachment.ipv6), strict=True):
                if other != self:
                    switch.route(made.namespace, pods, address)

    def prepare(self, archives: Sequence[Path]) -> None:
        """Start containerd and import image archives; the API server is not needed for that."""
        for name in ("private", "log", "cni"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._start_machine()
        self._start_containerd()
        for archive in archives:
            self.load(archive)

    def join(self) -> None:
        """Start kubelet; its Node object must be there. It is Ready later."""
        configuration = self.folder / "kubelet.json"
        configuration.write_text(json.dumps(self._kubelet()))
        user = self.plane.kubeconfig_for(f"system:node:{self.name}", "system:nodes")
        addresses = f"{self.attachment.ipv4},{self.attachment.ipv6}"
        flags = (f"--config={configuration}", f"--kubeconfig={user}", f"--hostname-override={self.name}", f"--node-ip={addresses}")
        self._start("kubelet", *flags, f"--root-dir={self.folder / 'kubelet'}")

    def load(self, archive: Path) -> None:
        """Import an image archive."""
        ctr = (self.programs["ctr"], "--address", SOCKET, "--namespace", "k8s.io")
        run(
            *self.enter(),
            *ctr,
            "images",
            "import",
            "--local",
            archive,
            timeout_s=300,
            advice=f"containerd's log: {self.folder / 'containerd.log'}",
        )

    def enter(self) -> tuple[str, ...]:
        """Return the words that run a command on this node."""
        return ("nsenter", f"--target={self.process('machine').pid}", "--net", "--mount", "--uts", "--")

    def process(self, name: str) -> Process:
        """Return one of its processes: machine, containerd, kubelet."""
        return next(process for process in remembered(self.folder) if process.name == name)

    def _start_machine(self) -> None:
        namespaces = ("unshare", "--mount", "--uts", "--propagation=private")
        script = ("sh", "-ec", _MACHINE, "sh", self.folder, self.name, self.attachment.namespace, _NODE)
        machine = start("machine", (*namespaces, *script), self.folder)
        ready = ("test", "-e", "/run/node-is-ready")
        machine.ready_when(lambda: succeeds(*self.enter(), *ready), 60, "mounting an overlay over /var/lib must be possible here.")

    def _start_containerd(self) -> None:
        (self.folder / "cni" / "10-pods.conflist").write_text(json.dumps(self._cni()))
        configuration = self.folder / "containerd.toml"
        configuration.write_text(self._containerd())
        path = f"{self.programs['containerd'].parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        containerd = self._start("containerd", "--config", configuration, env={**os.environ, "PATH": path})
        version = (self.programs["ctr"], "--address", SOCKET, "--timeout=2s", "version")
        containerd.ready_when(lambda: succeeds(*self.enter(), *version), 120, "its state is thrown away by a new start of the cluster.")

    def _start(self, name: str, *flags: str | Path, env: Mapping[str, str] | None = None) -> Process:
        return start(name, (*self.enter(), self.programs[name], *flags), self.folder, env=env)

    def _cni(self) -> dict[str, Any]:
        ranges = [[{"subnet": pods}] for pods in self.pod_ranges]
        routes = [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
        ipam = {"type": "host-local", "dataDir": str(self.folder / "cni" / "addresses"), "ranges": ranges, "routes": routes}
        joined: dict[str, Any] = {"type": "ptp", "ipMasq": False, "ipam": ipam}
        ports: dict[str, Any] = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "1.0.0", "name": "pods", "plugins": [joined, ports]}

    def _containerd(self) -> str:
        return f"""version = 3
root = "{self.folder / "containerd"}"
state = "/run/containerd"
[grpc]
  address = "{SOCKET}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true  # without CAP_SYS_RESOURCE runc could not lower it
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ["{CNI_PLUGINS}"]
    conf_dir = "{self.folder / "cni"}"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{images.PAUSE}"
"""

    def _kubelet(self) -> dict[str, Any]:
        authority = self.plane.authority
        serving = authority.server(self.name, self.name, self.attachment.ipv4, self.attachment.ipv6)
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(serving.certificate),
            "tlsPrivateKeyFile": str(serving.key),
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}",
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "imageMinimumGCAge": "240h",
            "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%", "memory.available": "10Mi"},
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": "",  # no name of the machine's network is asked for
            "podLogsDir": "/var/log/pods",
            "volumePluginDir": str(self.folder / "kubelet" / "plugins"),
            "makeIPTablesUtilChains": False,
            "nodeStatusUpdateFrequency": "5s",
            "syncFrequency": "10s",
        }
