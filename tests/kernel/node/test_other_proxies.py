"""Another proxy is found by what it leaves in a real kernel, and by its port; an agent is not taken for one."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.support.netns.namespace import Namespace, namespaces

from proxyconfig_agent.dataplane.modes.ownership import Ownership
from proxyconfig_agent.ingest.model import Family
from proxyconfig_agent.node.other_proxies.arrival import Running
from proxyconfig_agent.node.other_proxies.other_proxies import PORT, Seen
from proxyconfig_agent.node.other_proxies.other_proxies_reader import look, running

pytestmark = pytest.mark.kernel


@pytest.fixture
def node() -> Iterator[Namespace]:
    with namespaces("node") as made:
        yield made["node"]


def test_an_empty_node_has_none(node: Namespace) -> None:
    assert node.call(look) == Seen()


def test_a_look_does_not_load_the_codec_for_names_in_other_scripts(node: Namespace) -> None:
    code = f"import sys; from {look.__module__} import look; look(); print('encodings.idna' in sys.modules)"
    assert node.run(sys.executable, "-c", code).strip() == "False"


def test_tables_of_nftables_mode_are_found(node: Namespace) -> None:
    node.run("nft", "add", "table", "ip6", "kube-proxy")
    assert node.call(look) == Seen(tables=("ip6 kube-proxy",))


def test_chains_of_iptables_mode_are_found_unless_an_agent_has_taken_them_over(node: Namespace) -> None:
    node.run("iptables-nft", "-t", "mangle", "-N", "KUBE-PROXY-CANARY")
    assert node.call(look) == Seen(canaries=("ip mangle",))
    try:
        assert node.call(lambda: Ownership().claim()) == ""
        assert node.call(look) == Seen()
    finally:
        node.call(lambda: Ownership().release())


def test_chains_of_iptables_legacy_are_found_and_no_table_is_made_by_looking(node: Namespace) -> None:
    node.run("iptables-legacy", "-t", "nat", "-N", "KUBE-PROXY-CANARY")
    assert node.call(look) == Seen()
    assert node.run("cat", "/proc/net/ip_tables_names").split() == ["nat"]
    node.run("iptables-legacy", "-t", "mangle", "-N", "KUBE-PROXY-CANARY")
    assert node.call(look) == Seen(canaries=("legacy ip mangle",))


def test_the_link_of_ipvs_mode_is_found_unless_it_is_an_agents(node: Namespace) -> None:
    node.run("ip", "link", "add", "kube-ipvs0", "type", "veth", "peer", "name", "other")
    assert node.call(look).link


@pytest.mark.parametrize(("configuration", "mode"), [("kubeproxy.config.k8s.io", "iptables"), ("proxyconfig.dev", "")])
def test_a_kube_proxy_that_runs_is_found_by_its_port_and_an_agent_is_none(node: Namespace, configuration: str, mode: str) -> None:
    with answering(node, {"/proxyMode": "iptables", "/configz": f'{{"{configuration}": {{}}}}'}):
        assert node.call(look) == Seen(mode=mode)


def test_an_agent_that_has_no_order_yet_is_no_kube_proxy(node: Namespace) -> None:
    with answering(node, {"/proxyMode": "nftables", "/configz": "{}"}):
        assert node.call(look) == Seen()


METRICS = 'kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"} 1.7e+09\n' + "# filled\n" * 1000


@pytest.mark.parametrize(
    ("mode", "rules"),
    [
        ("nftables", ("nft", "add", "table", "ip", "kube-proxy")),
        ("iptables", ("iptables-nft", "-t", "nat", "-N", "KUBE-SERVICES")),
        ("iptables", ("iptables-legacy", "-t", "nat", "-N", "KUBE-SERVICES")),
        ("ipvs", ("ip", "link", "add", "kube-ipvs0", "type", "veth", "peer", "name", "other")),
    ],
)
def test_a_kube_proxy_has_synced_where_it_says_so_and_the_kernel_has_its_rules(node: Namespace, mode: str, rules: tuple[str, ...]) -> None:
    assert node.call(running) == Running()
    with answering(node, {"/proxyMode": mode, "/configz": '{"kubeproxy.config.k8s.io": {}}', "/metrics": METRICS}):
        assert node.call(running) == Running(mode)
        node.run(*rules)
        assert node.call(running) == Running(mode, frozenset({Family.IPV4}))
    with answering(node, {"/proxyMode": mode, "/configz": '{"kubeproxy.config.k8s.io": {}}', "/metrics": ""}):
        assert node.call(running) == Running(mode)


@contextlib.contextmanager
def answering(node: Namespace, pages: dict[str, str]) -> Iterator[None]:
    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages[self.path].encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with node.call(HTTPServer, ("127.0.0.1", PORT), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
