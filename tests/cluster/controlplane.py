"""etcd and kube-apiserver with certificates, RBAC, Node authorization and the default admission plugins; on request the controllers.

Alone, for tests that need an API server but no nodes (ready in a few seconds; several at once):

    with controlplane() as api:
        run(api.program("kubectl"), "--kubeconfig", api.kubeconfig, "get", "namespaces")
        namespace = api.attach("node-1")  # a network namespace from which api.server can be reached

The components run in the switch's namespace (network.py), so they have fixed ports and reach nothing but the cluster and this machine.
"""

from __future__ import annotations

import http.client
import json
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.cluster import binaries, kubeconfig, registry, remains
from tests.cluster.certificates import Authority, Pair, authority
from tests.cluster.command import run
from tests.cluster.errors import ComponentError
from tests.cluster.network import SERVER_PORT, Attachment, Switch
from tests.cluster.process import Process, remembered, start

SERVICE_RANGES = "10.96.0.0/16,fd00:10:96::/112"
POD_RANGES = "10.244.0.0/16,fd00:10:244::/56"
SERVICE_ADDRESSES = ("10.96.0.1", "fd00:10:96::1")
SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
DNS_ADDRESS = "10.96.0.10"
READY_WITHIN_S = 300
_NOT_READY = "look at the whole log; a second start usually tells whether the machine was only too busy."


class ControlPlane:
    """The control plane of one cluster, in a folder that holds its certificates, logs and pids."""

    def __init__(self, folder: Path, switch: Switch, programs: Mapping[str, Path], ca: Authority) -> None:
        self.server_flags: tuple[str, ...] = ()
        """Flags of kube-apiserver besides those that every cluster has."""
        self.folder = folder
        self.switch = switch
        self.authority = ca
        self._programs = programs
        self._attached = 0

    @property
    def host(self) -> str:
        """Return the API server's address: the same from this process, from nodes and from attached namespaces."""
        return self.switch.address

    @property
    def server(self) -> str:
        """Return the API server's URL."""
        return f"https://{self.host}:{SERVER_PORT}"

    @property
    def kubeconfig(self) -> Path:
        """Return the administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    def program(self, name: str) -> Path:
        """Return the path of a Kubernetes program: kubectl, kube-proxy and so on."""
        return self._programs[name]

    def kubectl(self, *words: str, given: str | None = None, timeout_s: float = 60) -> str:
        """Run kubectl as administrator and return what it printed.

        Raises CommandError.
        """
        return run(self.program("kubectl"), "--kubeconfig", self.kubeconfig, *words, given=given, timeout_s=timeout_s)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects, server-side."""
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=listed)

    def kubeconfig_for(self, user: str, *groups: str) -> Path:
        """Return a kubeconfig for a user with a new certificate, for instance ("system:node:a", "system:nodes")."""
        name = user.replace(":", "-").replace("/", "-")
        return self._write_kubeconfig(self.folder / "users" / f"{name}.kubeconfig", self.authority.client(user, *groups))

    def token_for(self, namespace: str, account: str, bound_to: str = "") -> str:
        """Return a token of a service account that exists; `bound_to` ("Node/a", "Pod/b") adds its node's name to the token's claims."""
        kind, _, name = bound_to.partition("/")
        bound = ("--bound-object-kind", kind, "--bound-object-name", name) if bound_to else ()
        return self.kubectl("create", "token", account, "--namespace", namespace, *bound).strip()

    def token_kubeconfig(self, namespace: str, account: str, bound_to: str = "") -> Path:
        """Return a kubeconfig for a service account's token."""
        path = self.folder / "users" / f"{namespace}-{account}-{bound_to.replace('/', '-')}.kubeconfig"
        return self._write_kubeconfig(path, self.token_for(namespace, account, bound_to))

    def attach(self, name: str, host: int | None = None) -> Attachment:
        """Return a new network namespace from which the API server is reached; it goes with the control plane."""
        self._attached += 1
        return self.switch.attach(name, host or 99 + self._attached)

    def start_server(self) -> None:
        """Start kube-apiserver and wait until it is ready.

        Raises ComponentError; it names etcd if that is what ended.
        """
        server = self._start_server()
        try:
            server.ready_when(self.ready, READY_WITHIN_S, _NOT_READY)
        except ComponentError:
            self.verify("etcd")
            raise

    @property
    def etcd_folder(self) -> Path:
        """Return the folder with etcd's data; to be copied or exchanged while etcd does not run."""
        return self.folder / "etcd"

    def start_etcd(self) -> None:
        """Start etcd; it need not be ready for the API server to start."""
        self._start("etcd", *self._etcd_flags())

    def stop_etcd(self) -> None:
        """End etcd; it writes what it has."""
        self.process("etcd").stop()

    def stop_server(self) -> None:
        """End kube-apiserver at once, as a crash would; etcd keeps its state."""
        self.process("kube-apiserver").stop(grace_s=0)

    def verify(self, *names: str) -> None:
        """Make sure that these components run.

        Raises ComponentError with the first that has ended.
        """
        for process in map(self.process, names):
            if not process.alive():
                raise ComponentError(process.name, "has ended", process.log, _NOT_READY)

    def process(self, name: str) -> Process:
        """Return a component's process."""
        return next(process for process in remembered(self.folder) if process.name == name)

    def ready(self) -> bool:
        """Return whether the API server says that it is ready."""
        try:
            return self._get("/readyz")[0] == http.client.OK
        except OSError:
            return False

    def get(self, path: str) -> Any:
        """Return what the API server has at a path, for instance /api/v1/nodes; None if there is nothing.

        Raises OSError if it does not answer.
        """
        status, content = self._get(path)
        return json.loads(content) if status == http.client.OK else None

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """The administrator's; it is asked for twenty times a second while the API server starts."""
        admin = self.authority.client("admin", "system:masters")
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        context.load_cert_chain(admin.certificate, admin.key)
        return context

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection(self.host, SERVER_PORT, timeout=30, context=self._trust)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def start(self) -> None:
        """Start etcd and kube-apiserver and wait until the API server is ready."""
        self._write_kubeconfig(self.kubeconfig, self.authority.client("admin", "system:masters"))
        self.start_etcd()
        self.start_server()

    def start_controllers(self) -> None:
        """Start kube-controller-manager and kube-scheduler; they need not be ready for nodes to start."""
        users = {name: self.kubeconfig_for(f"system:{name}") for name in ("kube-controller-manager", "kube-scheduler")}
        self._start("kube-controller-manager", *self._controller_flags(users["kube-controller-manager"]))
        self._start("kube-scheduler", "--leader-elect=false", f"--kubeconfig={users['kube-scheduler']}")

    def _start_server(self) -> Process:
        return self._start("kube-apiserver", *self._server_flags())

    def _start(self, name: str, *flags: str) -> Process:
        return start(name, (self.program(name), *flags), self.folder, namespace=self.switch.namespace)

    def _write_kubeconfig(self, path: Path, user: Pair | str) -> Path:
        return kubeconfig.write(path, self.server, self.authority.certificate, user)

    def _etcd_flags(self) -> tuple[str, ...]:
        client, peer = "http://127.0.0.1:2379", "http://127.0.0.1:2380"  # only this namespace reaches them
        return (
            f"--data-dir={self.etcd_folder}",
            "--unsafe-no-fsync",  # its state does not outlive the machine's uptime
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )

    def _server_flags(self) -> tuple[str, ...]:
        addresses = ("127.0.0.1", self.host, self.switch.address6, *SERVICE_ADDRESSES)
        serving = self.authority.server("kube-apiserver", *addresses, *SERVER_NAMES)
        to_kubelets = self.authority.client("kube-apiserver-kubelet-client", "system:masters")
        return (
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={self.host}",
            f"--secure-port={SERVER_PORT}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={self.authority.certificate}",
            f"--kubelet-certificate-authority={self.authority.certificate}",
            f"--kubelet-client-certificate={to_kubelets.certificate}",
            f"--kubelet-client-key={to_kubelets.key}",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={self.authority.verifying_key}",
            f"--service-account-signing-key-file={self.authority.signing_key}",
            f"--service-cluster-ip-range={SERVICE_RANGES}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",  # besides the default ones
            "--allow-privileged=true",
            *self.server_flags,
        )

    def _controller_flags(self, user: Path) -> tuple[str, ...]:
        return (
            f"--kubeconfig={user}",
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self.authority.signing_key}",
            f"--root-ca-file={self.authority.certificate}",
            f"--cluster-cidr={POD_RANGES}",
            "--allocate-node-cidrs=false",
            f"--service-cluster-ip-range={SERVICE_RANGES}",
        )


def create(folder: Path, number: int) -> ControlPlane:
    """Return a control plane that was not started yet, with its network and certificates made."""
    programs = binaries.ensure("etcd", "kubernetes")
    folder.mkdir(parents=True, exist_ok=True)
    switch = Switch(number)
    switch.create()
    return ControlPlane(folder, switch, programs, authority(folder / "certificates"))


@contextmanager
def controlplane(*, controllers: bool = False, server_flags: tuple[str, ...] = ()) -> Iterator[ControlPlane]:
    """Give another running control plane, with these flags of kube-apiserver added; everything of it is gone afterwards.

    Raises ClusterError.
    """
    remains.sweep()
    folder = Path(tempfile.mkdtemp(prefix="proxyconfig-api-"))
    entry = registry.reserve(folder)
    try:
        made = create(folder, entry.number)
        made.server_flags = server_flags
        made.start()
        if controllers:
            made.start_controllers()
        yield made
    finally:
        remains.remove(entry)
