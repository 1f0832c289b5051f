"""What README and docs show of kubectl is what it prints, of objects in the state that they speak of."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.apiserver.objects import CONFIGS, PROXIES, Api, Object
from tests.cluster.controlplane import ControlPlane
from tests.support.sessions import Session, sessions

from proxyconfig_api.objects.names import API_VERSION

pytestmark = pytest.mark.apiserver


@dataclass(frozen=True, slots=True)
class State:
    """What is in the cluster when a command runs: a ProxyConfig's name, spec and status, and the status of each of its nodes."""

    name: str = ""
    spec: Object | None = None
    status: Object | None = None
    nodes: Iterable[tuple[str, Object]] = ()


def ready(reason: str, message: str = "", status: str = "True") -> list[Object]:
    since = "2026-01-01T00:00:00Z"
    return [{"type": "Ready", "status": status, "reason": reason, "message": message, "lastTransitionTime": since}]


def counted(nodes: int, updated: int, modes: str, phase: str, reason: str) -> Object:
    return {
        "nodes": {"desired": nodes, "updated": updated, "ready": updated, "failing": 0},
        "summary": f"{updated}/{nodes}",
        "modeSummary": modes,
        "rollout": {"phase": phase},
        "conditions": ready(reason, status="True" if updated == nodes else "False"),
    }


_OF_README = {
    "mode": {"desired": "nftables", "effective": "nftables"},
    "observedRevision": "default-ad7330bbb9",
    "services": 2,
    "endpoints": 9,
    "drift": {"repairs": 0},
    "modules": {"summary": "12 built in"},
    "version": "0.1.0",
    "conditions": ready("Synced", "the Services are in the kernel"),
}
_NEXT_BEST = {
    "desired": "auto",
    "effective": "iptables",
    "reason": "NextBest",
    "message": "auto: iptables is the best mode that works with kernel 6.1.0: no nftables, as the kernel lacks nf_tables (Linux 3.13 and "
    "later, CONFIG_NF_TABLES, module nf_tables); for a better mode, load the module, or use a kernel that has it",
}
_WITHOUT_IPVS = {
    "mode": {"desired": "ipvs"},
    "modules": {
        "summary": "12 built in, 1 missing",
        "items": [
            {"name": "ip_vs", "state": "Missing", "message": "kernel 6.18.44 is built without CONFIG_IP_VS; use a kernel that has it"},
            {"name": "nf_conntrack", "state": "BuiltIn"},
        ],
    },
    "version": "0.1.0",
    "conditions": ready(
        "ModeUnsupported",
        "ipvs: the kernel lacks IPVS (CONFIG_IP_VS, modprobe ip_vs): No such file or directory; load the module, use a kernel that has it, "
        "or choose another mode",
        status="False",
    ),
}
_DNS = "DNS over UDP 10.96.0.10:53: no answer within 1 s"
_WENT_BACK = {
    "revision": "default-5d8f",
    "phase": "RolledBack",
    "reason": "ProbesFailed",
    "message": f"after the change to revision default-5d8f probes fail that passed before: dns/UDP: {_DNS}; the node is back at revision "
    "default-7c41",
    "probes": [{"name": "apiServer", "result": "Passed"}, {"name": "dns/UDP", "result": "Failed", "message": _DNS}],
}
_PLAN = {
    "revision": "web-0b2f3a1c9d",
    "podRevision": "f64972717f",
    "fields": [{"path": "conntrack.min", "disruption": "None"}],
    "nodes": 30,
    "waves": 11,
    "leastTime": "1m50s",
}
STATES: dict[tuple[str, str], list[State]] = {
    ("README.md", "kubectl get proxyconfigs"): [
        State("default", {"mode": "nftables"}, counted(2, 2, "nftables: 2", "Complete", "AllNodesReady"))
    ],
    ("README.md", "kubectl get npx -o wide"): [State("default", {}, nodes=[("node-1", _OF_README), ("node-2", _OF_README)])],
    ("README.md", "kubectl explain kpx.spec.conntrack.min"): [State()],
    ("docs/modes.md", "kubectl get kpx"): [
        State("default", {"mode": "auto"}, counted(4, 4, "nftables: 3, iptables: 1", "Complete", "AllNodesReady"))
    ],
    ("docs/modes.md", "kubectl describe npx node-4"): [
        State("default", {"mode": "auto"}, nodes=[("node-4", {"mode": _NEXT_BEST})]),
        State("default", {}, nodes=[("node-4", {"change": _WENT_BACK})]),
        State("default", {"mode": "ipvs"}, nodes=[("node-4", _WITHOUT_IPVS)]),
    ],
    ("docs/modes.md", "kubectl get npx -o wide"): [State("default", {"mode": "ipvs"}, nodes=[("node-4", _WITHOUT_IPVS)])],
    ("docs/rollouts.md", "kubectl get kpx"): [State("web", {}, counted(30, 7, "nftables: 30", "Progressing", "RollingOut"))],
    ("docs/rollouts.md", "kubectl get kpx web -o jsonpath='{.status.plan}'"): [State("web", {}, {"plan": _PLAN})],
}
"""By page and command; where a page has a command several times, in its order."""
_AGE = re.compile(r"(?<= )\d+[smhd](\d+[smh])?(?= |$)")


def cases() -> Iterator[Any]:
    """Each session of all pages, with its state."""
    states = {key: iter(each) for key, each in STATES.items()}
    for session in sessions():
        state = next(states.get((session.page, session.command), iter(())), None)
        yield pytest.param(session, state, id=f"{session.page} {session.command}")


def make(api: Api, state: State) -> None:
    config = {"apiVersion": API_VERSION, "kind": "ProxyConfig", "metadata": {"name": state.name}, "spec": state.spec}
    if state.name:
        api.create(CONFIGS, config)
        api.patch(f"{CONFIGS}/{state.name}/status", {"status": state.status or {}})
    for name, status in state.nodes:
        revision = status.get("observedRevision", "default-7c41")
        spec = {"configName": state.name, "revisionName": revision}
        api.create(PROXIES, {"apiVersion": API_VERSION, "kind": "NodeProxy", "metadata": {"name": name}, "spec": spec})
        api.patch(f"{PROXIES}/{name}/status", {"status": status})


@pytest.mark.parametrize(("session", "state"), list(cases()))
def test_what_a_page_shows_is_what_kubectl_prints(api: Api, plane: ControlPlane, session: Session, state: State | None) -> None:
    assert state is not None, "give the state in which the command prints this"
    make(api, state)
    program, *words = shlex.split(session.command)
    assert program == "kubectl"
    printed = comparable(plane.kubectl(*words))
    if session.is_whole:
        assert printed == comparable(session.printed)
    for part in map(comparable, session.parts):
        assert part in printed
        printed = printed.partition(part)[2]


def test_every_state_is_that_of_a_session() -> None:
    assert Counter({key: len(states) for key, states in STATES.items()}) == Counter((each.page, each.command) for each in sessions())


def comparable(text: str) -> str:
    """Without widths of columns and breaks of lines, which pages have as they fit, and without ages."""
    joined = " ".join(text.split())
    return _AGE.sub("AGE", joined) if " AGE" in joined else joined
