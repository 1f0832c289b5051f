"""Prints what the real kube-proxy 1.36 has in ipvs mode for some Services, as the kernel answers a reader of it; for unit tests:

python -m tests.kernels run complete --api-server -- .venv/bin/python -m tests.kernels.shadow.recording |
    sed -n 's/^recorded: //p' | base64 -d >tests/unit/agent/checks/shadow/golden/kube-proxy-ipvs.json.gz
"""

from __future__ import annotations

import base64
import gzip
import inspect
import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.kernels.shadow.kubeproxy import objects, observed

from proxyconfig_agent.checks.shadow import ipvs_reader
from proxyconfig_agent.checks.shadow.iptables import saved
from proxyconfig_agent.dataplane.iptables.tools.binaries import Tool, choose
from proxyconfig_agent.dataplane.ipvs.model.kube_proxy import LINK
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.netlink import ipset, links, localroutes
from proxyconfig_agent.netlink.ipvs import connection as ipvs
from proxyconfig_agent.netlink.ipvs import listing

SCENARIOS = (
    "affinity-endpoint-goes",
    "both-local",
    "external-local-without-local",
    "host-network",
    "matrix-node-port",
    "ranges-local",
    "row-002",
    "row-006",
    "row-015",
    "row-020",
    "row-034",
    "row-041",
    "row-047",
    "row-049",
    "row-057",
    "row-071",
    "row-088",
    "shared-balancer",
    "type-changes",
)
"""Every kind of address, protocol, policy and source range; and of what kube-proxy does otherwise in this mode."""

Answers = dict[str, list[str]]
"""For each question in words, the payloads of the answer."""


def _recorded(connection: object, method: str) -> Answers:
    """What this `method` of a connection asks from now on, and the kernel's answers."""
    ask, answers = getattr(connection, method), Answers()

    def recorder(*given: int | bytes) -> Iterator[bytes]:
        found = list(ask(*given))
        answers[_in_words(inspect.signature(ask).bind(*given))] = [each.hex() for each in found]
        return iter(found)

    setattr(connection, method, recorder)
    return answers


def _in_words(question: inspect.BoundArguments) -> str:
    question.apply_defaults()
    return " ".join(each.hex() if isinstance(each, bytes) else str(each) for each in question.arguments.values())


def recorded() -> dict[str, Any]:
    """Of the calling thread's network namespace."""
    text = {family: list(Tool(family, choose()).save()) for family in Family}
    chains = {family: saved(lines) for family, lines in text.items()}
    link = links.index_of(LINK)
    with closing(ipset.Connection()) as sets, closing(ipvs.Connection()) as servers, closing(localroutes.Connection()) as routes:
        answers = {
            "sets": _recorded(sets, "_exchange"),
            "servers": _recorded(servers, "_exchange"),
            "routes": _recorded(routes, "_dump"),
        }
        ipvs_reader.kube_proxy_servers(chains, ipvs_reader.Sources(sets, servers, routes, link))
    return {
        "chains": {family.name: [line for line in lines if not line.startswith("#")] for family, lines in text.items()},
        "listing": listing.PATH.read_text(),
        "link": link,
        **answers,
    }


def main() -> None:
    wanted = objects(SCENARIOS)
    with tempfile.TemporaryDirectory() as folder, observed(wanted, Path(folder)) as there:
        found = {"objects": list(wanted.values()), **there.node.call(recorded)}
        for each in there.compare():
            print(f"{each.service}: {each.matching} of {each.flows} match {each.difference}", flush=True)
    print("recorded:", base64.b64encode(gzip.compress(json.dumps(found).encode(), mtime=0)).decode(), flush=True)


if __name__ == "__main__":
    main()
