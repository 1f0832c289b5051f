"""The operator's probes, as the manifest has them, on nodes with one address family."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.netns.namespace import Namespace, namespaces

from proxyconfig_operator.app.health import Vitals, serve
from proxyconfig_operator.app.options import parse

pytestmark = pytest.mark.kernel

MANIFEST = Path(__file__).parents[3] / "manifests" / "base" / "operator.yaml"


@pytest.fixture
def node() -> Iterator[Namespace]:
    with namespaces("node") as made:
        yield made["node"]


def test_it_answers_its_probes_on_a_node_with_ipv6_alone(node: Namespace) -> None:
    node.ip(["addr del 127.0.0.1/8 dev lo", "addr add fd00::1/128 dev lo"])

    assert node.call(asyncio.run, probed("fd00::1")) == {"readinessProbe": 200, "livenessProbe": 200}


def test_it_answers_its_probes_on_a_node_with_ipv4_alone(node: Namespace) -> None:
    node.sysctl({"net.ipv6.conf.all.disable_ipv6": "1"})
    node.ip(["addr add 192.0.2.1/32 dev lo"])

    assert node.call(asyncio.run, probed("192.0.2.1")) == {"readinessProbe": 200, "livenessProbe": 200}


async def probed(host: str) -> dict[str, int]:
    """What the probes of the manifest's container get from an operator with the manifest's arguments, at the pod's address."""
    container = containers()[0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    options = parse(["--agent-image", "x", *container.get("args", [])], {})
    runner = await serve(options.health, lambda: Vitals(leading=True, lease_tried_ago_s=0))
    try:
        probes = {name: container[name]["httpGet"] for name in ("readinessProbe", "livenessProbe")}
        return {name: await status(host, ports[get["port"]], get["path"]) for name, get in probes.items()}
    finally:
        await runner.cleanup()


async def status(host: str, port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head = await reader.readline()
    await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(head.split()[1])


def containers() -> list[dict[str, Any]]:
    documents = yaml.safe_load_all(MANIFEST.read_text())
    deployment = next(each for each in documents if each["kind"] == "Deployment")
    found: list[dict[str, Any]] = deployment["spec"]["template"]["spec"]["containers"]
    return found
