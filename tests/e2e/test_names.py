"""What every pod counts on: cluster DNS answers through its Service, and the API server is reached through its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster.errors import CommandError
from tests.e2e.installed import Installed
from tests.e2e.surroundings import NodeAddress
from tests.support.polling import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

NAMESPACE = "e2e-names"
LOOK_UP = """
import socket, sys
found = socket.getaddrinfo(sys.argv[1], None, type=socket.SOCK_STREAM)
print(*sorted({entry[4][0] for entry in found}))
"""
ASK_THE_API_SERVER = """
import pathlib, ssl, sys, urllib.request
account = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
headers = {"Authorization": f"Bearer {(account / 'token').read_text()}"}
request = urllib.request.Request(f"https://{sys.argv[1]}/version", headers=headers)
trusted = ssl.create_default_context(cafile=account / "ca.crt")
print(urllib.request.urlopen(request, timeout=30, context=trusted).status)
"""


@pytest.fixture(scope="module")
def clients(product: Installed, nodes: list[NodeAddress]) -> Iterator[list[str]]:
    """The names of a pod on each node, each as a user's pod would be."""
    product.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=90s")
    product.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    eventually(lambda: product.objects("serviceaccounts", NAMESPACE), within_s=60, every_s=0.3)
    product.apply(*(_pod(product.agent_image, f"client-{number}", node.name) for number, node in enumerate(nodes, 1)))
    product.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", "--timeout=180s", "pods", "--all", timeout_s=200)
    yield [f"client-{number}" for number in range(1, len(nodes) + 1)]
    product.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def _pod(image: str, name: str, node: str) -> dict[str, object]:
    container = {"name": "client", "image": image, "command": ["python3", "-c", "import signal; signal.pause()"]}
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"role": "client"}},
        "spec": spec,
    }


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_names_of_services_are_looked_up_from_a_pod_on_each_node(product: Installed, clients: list[str], transport: str) -> None:
    option = "use-vc" if transport == "tcp" else "timeout:2"
    address = product.get("services", "kubernetes")["spec"]["clusterIP"]
    for client in clients:
        for name in ("kubernetes.default", "kubernetes.default.svc.cluster.local"):
            _finds(product, client, name, address, option)


@pytest.mark.parametrize("by", ["name", "address"])
def test_the_api_server_is_reached_through_its_service_from_a_pod_on_each_node(product: Installed, clients: list[str], by: str) -> None:
    host = "kubernetes.default.svc" if by == "name" else product.get("services", "kubernetes")["spec"]["clusterIP"]
    for client in clients:
        assert _run(product, client, ASK_THE_API_SERVER, host, option="timeout:20") == "200"


def test_headless_and_external_name_services_are_left_to_dns(product: Installed, clients: list[str]) -> None:
    product.apply(
        _service("pods", clusterIP="None", selector={"role": "client"}, ports=[{"port": 80}], ipFamilyPolicy="PreferDualStack"),
        _service("elsewhere", type="ExternalName", externalName="kubernetes.default.svc.cluster.local"),
    )
    pods = product.objects("pods", NAMESPACE)
    addresses = " ".join(sorted(entry["ip"] for pod in pods for entry in pod["status"]["podIPs"]))
    for client in clients:
        _finds(product, client, "pods", addresses)
        _finds(product, client, "elsewhere", product.get("services", "kubernetes")["spec"]["clusterIP"])


def _finds(product: Installed, client: str, name: str, addresses: str, option: str = "timeout:2") -> None:
    def found() -> str:
        try:
            return _run(product, client, LOOK_UP, name, option=option)
        except CommandError as error:  # not known to DNS yet
            return str(error)

    eventually(found, within_s=60, every_s=0.5, until=lambda told: told == addresses)


def _run(product: Installed, client: str, program: str, word: str, option: str = "timeout:2") -> str:
    """Run a program in a client, with an option of resolv.conf."""
    python = ("env", f"RES_OPTIONS={option}", "python3", "-c", program, word)
    return product.kubectl("exec", "-n", NAMESPACE, client, "--", *python).strip()


def _service(name: str, **spec: object) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}
