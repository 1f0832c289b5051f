"""docs/cli.md: the help of every command, and sessions with their outputs. `python -m tests.unit.cli.page` writes it."""

from __future__ import annotations

import copy
import shlex
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import click
import yaml
from click.testing import CliRunner
from tests.support.documents import document
from tests.support.polling import eventually
from tests.unit.cli.apiserver import Object, Objects, serving

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.names import CONFIG_LABEL
from proxyconfig_api.objects.revision import revision_of
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_cli.app.completion import completions
from proxyconfig_cli.app.main import PROGRAM, main
from proxyconfig_cli.commands.candidates import ENOUGH_S
from proxyconfig_cli.rollout.history import COMPONENT, COMPONENT_LABEL

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "cli.md"
CONFIGURATION = ROOT / "tests" / "support" / "kube-proxy" / "tuned.yaml"
WIDTH = 110

HEAD = """# kubectl proxyconfig
A plugin of kubectl for administrators: from kube-proxy to ProxyConfigs, and changes of them. Made by `python -m tests.unit.cli.page`.
```
pip install ./api ./client ./cli     # kubectl-proxyconfig and kubectl_complete-proxyconfig, both on the PATH
make cli                             # or one file, dist/kubectl-proxyconfig, for the Python version and the platform it was made on
ln -s kubectl-proxyconfig dist/kubectl_complete-proxyconfig     # its completion
```
It reads the kubeconfig that kubectl reads, and needs the rights of the objects that it shows or changes. Exit codes: 0 done;
1 failed, or something found; 2 wrong use; 130 interrupted. Flags are written as kubectl's: `-o=json` is `-o json`, and --kubeconfig,
--context and -n may stand before the command.
[migrate.md](migrate.md) has the steps of a migration.
"""

COMPLETION = f"""## Completion
kubectl that completes its own words (`kubectl completion --help`) asks `kubectl_complete-proxyconfig` for commands, options and
values, and for the names of ProxyConfigs and nodes and the numbers of revisions in the cluster. A cluster that has not answered
within {ENOUGH_S:.0f} s has none.
```
$ kubectl __complete proxyconfig rollout undo default --to-revision ""
%s
```
"""

SESSIONS = {
    "import": (
        "import --from file -f config.conf",
        "import --from flags --mode nftables -- --proxy-mode=iptables --cluster-cidr=10.244.0.0/16",
    ),
    "preflight": ("preflight --mode nftables",),
    "plan": ("plan -f proxyconfig.yaml", "plan -f paused.yaml"),
    "takeover start": ("takeover start -f takeover.yaml",),
    "takeover status": ("takeover status",),
    "takeover undo": ("takeover undo",),
    "rollout status": ("rollout status --watch=false",),
    "rollout history": ("rollout history",),
    "rollout pause": ("rollout pause",),
    "rollout resume": ("rollout resume",),
    "rollout retry": ("rollout retry",),
    "rollout undo": ("rollout undo --to-revision 1",),
}
PHASES = {"rollout retry": "RolledBack"}
"""Of the rollout, by session, where it is not in progress."""


def page() -> str:
    return "\n".join([HEAD, COMPLETION % _completed(), *(_section(words, command) for words, command in commands(main))])


def commands(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{above}{name} ")
        else:
            yield above + name, command


def _section(words: str, command: click.Command) -> str:
    parts = [f"## {PROGRAM} {words}", "```", _help(words), "```"]
    for session in SESSIONS[words]:
        parts += ["```", f"$ {PROGRAM} {session}", _output(session).rstrip("\n"), "```"]
    assert command.help
    return "\n".join(parts) + "\n"


def _help(words: str) -> str:
    result = CliRunner().invoke(main, [*words.split(), "-h"], prog_name=PROGRAM, terminal_width=WIDTH)
    return result.output.rstrip("\n")


def _completed() -> str:
    """A busy machine may answer later than a completion waits for: it is asked again."""
    with tempfile.TemporaryDirectory() as folder, serving(cluster(), Path(folder)) as kubeconfig:
        words = ["rollout", "undo", "default", "--kubeconfig", str(kubeconfig), "--to-revision", ""]
        found = eventually(lambda: completions(words), until=lambda lines: len(lines) > 1)
    return "\n".join(found)


def _output(session: str) -> str:
    """What a terminal shows: standard output and standard error."""
    held = cluster(PHASES.get(session, "Progressing"))
    with tempfile.TemporaryDirectory() as folder, serving(held, Path(folder)) as kubeconfig:
        (Path(folder) / "config.conf").write_text(CONFIGURATION.read_text())
        (Path(folder) / "takeover.yaml").write_text(yaml.safe_dump(proxyconfig(TAKEOVER)))
        (Path(folder) / "proxyconfig.yaml").write_text(yaml.safe_dump(proxyconfig({**SPEC, "mode": "iptables"})))
        (Path(folder) / "paused.yaml").write_text(yaml.safe_dump(proxyconfig({**SPEC, "rollout": {"paused": True}})))
        words = [f"{folder}/{word}" if word in FILES else word for word in shlex.split(session)]
        where = words.index("--") if "--" in words else len(words)
        result = CliRunner().invoke(main, [*words[:where], "--kubeconfig", str(kubeconfig), *words[where:]], terminal_width=WIDTH)
    return result.output.replace(f"{folder}/", "")


FILES = ("config.conf", "paused.yaml", "proxyconfig.yaml", "takeover.yaml")
TAKEOVER: Object = {"mode": "iptables", "rollout": {"holdPeriod": "0s", "maxUnavailable": "50%"}}
SPEC: Object = {"mode": "nftables", "conntrack": {"min": 262144}}
_GROUP, _OURS = "/apis/proxyconfig.dev/v1alpha1", "namespaces/proxyconfig-system"


def cluster(phase: str = "Progressing") -> Objects:
    """Six nodes of kubeadm in three zones, of which a change in that phase has reached two; one has an old kernel."""
    held = Objects()
    nodes = [f"node-{index}" for index in range(1, 7)]
    held.collections["/api/v1/nodes"] = [node(name, "5.10.0-28-amd64" if name == "node-6" else "6.1.0-41-amd64") for name in nodes]
    held.collections["/api/v1/services"] = [
        service("default", "kubernetes"),
        service("shop", "web", type="NodePort", ports=[{"port": 80, "nodePort": 30080}]),
        service("shop", "cart", sessionAffinity="ClientIP"),
    ]
    held.collections["/api/v1/namespaces/kube-system/pods"] = [proxy_pod(name) for name in nodes]
    held.collections[f"{_GROUP}/nodeproxies"] = [node_proxy(name, 2 if name < "node-3" else 1) for name in nodes[:5]]
    held.collections[f"/apis/apps/v1/{_OURS}/controllerrevisions"] = [revision(1, {}, 9), revision(2, {"conntrack": {"min": 262144}}, 0)]
    held.objects["/api/v1/namespaces/kube-system/configmaps/kube-proxy"] = {
        "data": {"config.conf": "mode: iptables\nclusterCIDR: 10.244.0.0/16"}
    }
    status = STATUS | {"rollout": STATUS["rollout"] | {"phase": phase}}
    held.objects[f"{_GROUP}/proxyconfigs/default"] = proxyconfig(SPEC) | {"status": status}
    crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/proxyconfigs.proxyconfig.dev"
    held.objects[crd] = document(ROOT / "crds" / "proxyconfigs.yaml")
    held.objects["/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"] = {
        "metadata": {"name": "kube-proxy", "labels": {"k8s-app": "kube-proxy"}},
        "spec": {"template": {"spec": {"containers": []}}},
    }
    held.written = partial(assign, held)
    return held


def assign(held: Objects, path: str) -> None:
    """As the operator and the agents: a node whose turn has come gets a NodeProxy, which is ready."""
    above, _, name = path.rpartition("/")
    known = {each["metadata"]["name"] for each in held.collections[f"{_GROUP}/nodeproxies"]}
    if above == "/api/v1/nodes" and name not in known:
        held.collections[f"{_GROUP}/nodeproxies"].append(node_proxy(name, 2))


def revision_name(number: int) -> str:
    """Of the first spec, which said nothing, and of the one that is rolled out."""
    return revision_of("default", codec.decode({} if number == 1 else SPEC, ProxyConfigSpec)).name


STATUS: Object = {
    "observedGeneration": 2,
    "revision": revision_name(2),
    "nodes": {"desired": 6, "updated": 2, "ready": 6},
    "rollout": {
        "revision": revision_name(2),
        "previousRevision": revision_name(1),
        "phase": "Progressing",
        "wave": 2,
        "waves": 6,
        "updated": 2,
    },
}


def proxyconfig(spec: Object) -> Object:
    """With another copy of the spec, which a test may change."""
    metadata = {"name": "default", "generation": 2}
    return {"apiVersion": "proxyconfig.dev/v1alpha1", "kind": "ProxyConfig", "metadata": metadata, "spec": copy.deepcopy(spec)}


def node(name: str, kernel: str) -> Object:
    zone = "abc"[int(name[-1]) % 3]
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": zone}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
    status = {"nodeInfo": {"kernelVersion": kernel, "operatingSystem": "linux"}, "conditions": [ready]}
    return {"metadata": {"name": name, "labels": labels}, "status": status}


def service(namespace: str, name: str, **spec: Any) -> Object:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"ports": [{"port": 443}], **spec}}


def proxy_pod(name: str) -> Object:
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "kube-proxy", "uid": "u"}
    metadata = {"name": f"kube-proxy-{name}", "namespace": "kube-system", "labels": {"k8s-app": "kube-proxy"}, "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": {"nodeName": "" if name == "node-1" else name}}


def node_proxy(name: str, number: int) -> Object:
    spec = {"configName": "default", "revisionName": revision_name(number)}
    ready = {"type": "Ready", "status": "True", "reason": "Synced", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"metadata": {"name": name}, "spec": spec, "status": {"observedRevision": revision_name(number), "conditions": [ready]}}


def revision(number: int, spec: Object, days: int) -> Object:
    created = datetime.now(UTC) - timedelta(days=days, minutes=5)
    labels = {CONFIG_LABEL: "default", COMPONENT_LABEL: COMPONENT}
    metadata = {"name": revision_name(number), "creationTimestamp": created.isoformat(timespec="seconds"), "labels": labels}
    return {"metadata": metadata, "revision": number, "data": {"spec": spec}}


if __name__ == "__main__":
    PAGE.write_text(page())
