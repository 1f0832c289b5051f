"""`make demo`: from nothing to Services that work, each command printed before its output; it fails if something is not as it says."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import cluster, deploy, images, packages
from tests.cluster.errors import ClusterError
from tests.cluster.progress import say
from tests.support.polling import eventually

SAMPLES = Path("manifests/samples")
CONFIG = "default"
NODE_PORT = 30080
BACKENDS = 3
PROXIES_WITHIN_S = 60
WHILE_S = 16  # a backend that is deleted serves for 10 s more
MODES = {
    "nftables": "proxyconfig.yaml",
    "iptables": "proxyconfig-iptables.yaml",
    "ipvs": "proxyconfig-ipvs.yaml",
    "userspace": "proxyconfig-userspace.yaml",
    "auto": "proxyconfig-auto.yaml",
}
"""The sample of each mode."""
RULES = {
    "nftables": "nft list ruleset",
    "iptables": "iptables-save -t nat",
    "ipvs": "cat /proc/net/ip_vs",
    "userspace": "nft list table ip proxyconfig-userspace",
    "auto": "nft list ruleset",
}
_IPVS = Path("/proc/net/ip_vs")

_ALL_ANSWERED = f"answered by {BACKENDS} pods, 0 lost"


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays: a cluster, and a shell as the user would have it."""

    cluster: cluster.Cluster

    def show(self, *words: str) -> str:
        """Print a command, run it, print what it says and return that.

        Raises ClusterError if it fails.
        """
        print(f"\n$ {shlex.join(words)}", flush=True)
        return self._told(words, self._run(words))

    def show_together(self, behind: Sequence[Sequence[str]], command: Sequence[str]) -> list[str]:
        """Print and start commands in the background, run one in the foreground meanwhile, and return what those in the background said."""
        for words in behind:
            print(f"\n$ {shlex.join(words)} &", flush=True)
        running = [self._run(words) for words in behind]
        time.sleep(WHILE_S / 4)  # requests are under way before anything changes
        self.show(*command)
        print("\n$ wait", flush=True)
        return [self._told(words, process) for words, process in zip(behind, running, strict=True)]

    def ask(self, *words: str) -> str:
        """Run kubectl without showing it."""
        return self.cluster.plane.kubectl(*words)

    def hear(self, *words: str) -> str:
        """Run a command without showing it and return what it prints, whether it fails or not."""
        return self._run(words).communicate()[0]

    def _run(self, words: Sequence[str]) -> subprocess.Popen[str]:
        path = f"{os.environ['PATH']}:{self.cluster.plane.program('kubectl').parent}"
        environment = {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig), "PATH": path}
        return subprocess.Popen(words, cwd=cluster.ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def _told(self, words: Sequence[str], process: subprocess.Popen[str]) -> str:
        output, _ = process.communicate()
        print(output, end="", flush=True)
        if process.returncode:
            raise ClusterError(f"`{shlex.join(words)}` ended with status {process.returncode}. The cluster is still there to look at.")
        return output


def run(name: str, count: int, mode: str) -> None:
    """Show everything on a cluster that is started if there is none.

    Raises ClusterError with the step that was not as it should be.
    """
    if mode not in MODES:
        raise ClusterError(f"MODE={mode} is no mode; there are {', '.join(MODES)}.")
    packages.ensure()
    if mode == "ipvs":
        _need_ipvs()
    stage = Stage(_cluster(name, count))
    deploy.apply(deploy.load(stage.cluster))
    _roll_out(stage, SAMPLES / MODES[mode])
    if mode == "auto":
        _say_why(stage)
    addresses = _start_web(stage)
    _await_proxies(stage, addresses)
    _spread(stage, addresses)
    _lose_a_backend(stage, addresses)
    _change_hot(stage, addresses)
    _go_on(stage, mode)


def _need_ipvs() -> None:
    """Raises ClusterError where this machine's kernel, which the nodes share, cannot do that mode."""
    subprocess.run(("modprobe", "--quiet", "ip_vs"), check=False)
    if not _IPVS.exists():
        raise ClusterError(
            f"MODE=ipvs: kernel {os.uname().release} of this machine has no IPVS (module ip_vs, CONFIG_IP_VS); "
            "`make ipvs` shows that mode on another kernel, in user-mode Linux."
        )


def _cluster(name: str, count: int) -> cluster.Cluster:
    try:
        return cluster.find(name)
    except ClusterError:
        return cluster.up(name, count)


def _roll_out(stage: Stage, sample: Path) -> None:
    say("a ProxyConfig: which nodes, which mode")
    stage.show("kubectl", "apply", "-f", str(sample))
    stage.show("kubectl", "wait", "--for=condition=Ready", f"proxyconfigs.proxyconfig.dev/{CONFIG}", "--timeout=120s")
    nodes = len(stage.cluster.nodes)
    if f"{nodes}/{nodes}" not in stage.show("kubectl", "get", "proxyconfigs"):
        raise ClusterError(f"not all {nodes} nodes are ready. `kubectl describe kpx {CONFIG}` tells why.")
    stage.show("kubectl", "get", "nodeproxies")


def _say_why(stage: Stage) -> None:
    say("why each node runs the mode that it runs")
    why = "NODE:.metadata.name,MODE:.status.mode.effective,REASON:.status.mode.reason,MESSAGE:.status.mode.message"
    told = stage.show("kubectl", "get", "nodeproxies", "-o", f"custom-columns={why}")
    if told.count("FirstChoice") + told.count("NextBest") != len(stage.cluster.nodes):
        raise ClusterError("a node does not say why it runs its mode. `kubectl describe npx` tells more.")


def _start_web(stage: Stage) -> Sequence[str]:
    """Start backends and clients; return the URLs of the ClusterIP Service, IPv4 first."""
    say("three web pods behind a ClusterIP and a NodePort Service, and a client pod on each node")
    stage.show("kubectl", "apply", "-k", "tests/cluster/samples/web")
    for number, node in enumerate(stage.cluster.nodes, 1):
        if f"pod/client-{number}" not in stage.ask("get", "pods", "-o", "name"):
            overrides = json.dumps({"spec": {"nodeName": node.name}})
            stage.show(
                "kubectl", "run", f"client-{number}", f"--image={images.WEB}", f"--overrides={overrides}", "--command", "sleep", "infinity"
            )
    stage.show("kubectl", "rollout", "status", "deployment/web", "--timeout=90s")
    stage.show("kubectl", "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=90s")
    clients = [f"pod/client-{number}" for number in range(1, len(stage.cluster.nodes) + 1)]
    stage.show("kubectl", "wait", "--for=condition=Ready", "--timeout=60s", *clients)
    stage.show("kubectl", "get", "services,pods", "-o", "wide")
    addresses = stage.ask("get", "service", "web", "-o", "jsonpath={.spec.clusterIPs[*]}").split()
    return [f"http://[{address}]/" if ":" in address else f"http://{address}/" for address in addresses]


def _await_proxies(stage: Stage, addresses: Sequence[str]) -> None:
    """Give the proxies time to hear of all backends: they may do so a moment after kubectl."""
    from_pods = (_from_pod(client, url) for client in range(1, len(stage.cluster.nodes) + 1) for url in addresses)
    from_outside = (_from_outside(stage, address) for address in _of_nodes(stage))
    for command in (*from_pods, *from_outside):
        with contextlib.suppress(AssertionError):  # what follows shows it then
            eventually(lambda command=command: _ALL_ANSWERED in stage.hear(*command, "--requests", "20"), PROXIES_WITHIN_S, every_s=0.5)  # type: ignore[misc]


def _of_nodes(stage: Stage) -> Sequence[str]:
    """Return the nodes' addresses as they stand in URLs."""
    return [address for node in stage.cluster.nodes for address in (node.attachment.ipv4, f"[{node.attachment.ipv6}]")]


def _spread(stage: Stage, addresses: Sequence[str]) -> None:
    say("requests through the ClusterIP from a pod on each node, in both families and by name")
    for client in range(1, len(stage.cluster.nodes) + 1):
        for url in (*addresses, "http://web/"):
            _all_answered(stage.show(*_from_pod(client, url)))
    say("requests through the NodePort from outside the nodes")
    for address in _of_nodes(stage):
        _all_answered(stage.show(*_from_outside(stage, address)))


def _lose_a_backend(stage: Stage, addresses: Sequence[str]) -> None:
    say("a backend is deleted while requests go on")
    backend = stage.ask("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}")
    for told in stage.show_together(_traffic(stage, addresses), ("kubectl", "delete", "pod", backend, "--wait=false")):
        _none_lost(told)
    stage.show("kubectl", "rollout", "status", "deployment/web", "--timeout=90s")


def _change_hot(stage: Stage, addresses: Sequence[str]) -> None:
    say("a field that is applied live is changed during requests: the limit of connection tracking")
    pods = ("kubectl", "-n", deploy.NAMESPACE, "get", "pods", "-o", "wide")
    limit = ("ip", "netns", "exec", stage.cluster.nodes[0].attachment.namespace, "cat", "/proc/sys/net/netfilter/nf_conntrack_max")
    before = _identities(stage)
    stage.show(*pods)
    wanted = 2 * int(stage.show(*limit))
    change = json.dumps({"spec": {"conntrack": {"min": wanted}}})
    patch = ("kubectl", "patch", "proxyconfigs.proxyconfig.dev", CONFIG, "--type=merge", "-p", change)
    for told in stage.show_together(_traffic(stage, addresses), patch):
        _none_lost(told)
    stage.show("kubectl", "wait", "--for=condition=Ready", f"proxyconfigs.proxyconfig.dev/{CONFIG}", "--timeout=60s")
    if int(stage.show(*limit)) != wanted:
        raise ClusterError(f"the limit is not {wanted}. `kubectl describe npx` tells why.")
    stage.show(*pods)
    if _identities(stage) != before:
        raise ClusterError("pods of proxyconfig were restarted by a change that should be applied live.")


def _go_on(stage: Stage, mode: str) -> None:
    path = stage.cluster.plane.program("kubectl").parent
    outside = stage.cluster.outside.namespace
    node = stage.cluster.nodes[0].attachment
    print(f"""
Everything above worked. To go on exploring:
  export KUBECONFIG={stage.cluster.kubeconfig} PATH=$PATH:{path}
  kubectl get kpx,npx
  kubectl describe kpx {CONFIG}
  kubectl explain proxyconfigs.proxyconfig.dev.spec
  ip netns exec {node.namespace} {RULES[mode]}
  ip netns exec {outside} python3 tests/cluster/fetch.py http://{node.ipv4}:{NODE_PORT}/
`make demo-down` ends the cluster and leaves nothing behind.""")


def _traffic(stage: Stage, addresses: Sequence[str]) -> Sequence[Sequence[str]]:
    seconds = ("--seconds", str(WHILE_S))
    from_pods = [(*_from_pod(client, addresses[0]), *seconds) for client in range(1, len(stage.cluster.nodes) + 1)]
    return [*from_pods, (*_from_outside(stage, stage.cluster.nodes[0].attachment.ipv4), *seconds)]


def _from_pod(client: int, url: str) -> Sequence[str]:
    return ("kubectl", "exec", f"client-{client}", "--", "python3", "/fetch.py", url)


def _from_outside(stage: Stage, address: str) -> Sequence[str]:
    fetch = ("python3", "tests/cluster/fetch.py", f"http://{address}:{NODE_PORT}/")
    return ("ip", "netns", "exec", stage.cluster.outside.namespace, *fetch)


def _all_answered(told: str) -> None:
    if _ALL_ANSWERED not in told:
        raise ClusterError(f"not every request was answered, or not all {BACKENDS} endpoints took part.")


def _none_lost(told: str) -> None:
    match = re.search(r"(\d+) requests.* (\d+) lost", told)
    if match is None or match[1] == "0" or match[2] != "0":
        raise ClusterError("requests were lost.")


def _identities(stage: Stage) -> str:
    identity = "{range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount}{'\\n'}{end}"
    return stage.ask("-n", deploy.NAMESPACE, "get", "pods", "-o", f"jsonpath={identity}")
