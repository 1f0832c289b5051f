"""Where nodes reach the API server, as text and objects say it. What a cluster says is tried in tests/apiserver/test_deploy.py."""

from __future__ import annotations

import pytest
from tests.cluster.errors import ClusterError
from tests.cluster.serveraddress import ServerAddress, of_slice, parsed


@pytest.mark.parametrize(
    ("chosen", "host", "port"),
    [
        ("192.0.2.10:6443", "192.0.2.10", 6443),
        ("[2001:db8::10]:6443", "2001:db8::10", 6443),
        ("api.example.com:443", "api.example.com", 443),
        ("https://api.example.com", "api.example.com", 443),
        ("https://api.example.com:8443", "api.example.com", 8443),
    ],
)
def test_an_address_is_a_host_with_a_port_or_a_url(chosen: str, host: str, port: int) -> None:
    assert parsed(chosen) == ServerAddress(host, port, "API_SERVER")


@pytest.mark.parametrize("chosen", ["192.0.2.10", ":6443", "api.example.com:https", "192.0.2.10:99999", "https://"])
def test_anything_else_is_refused_with_an_example(chosen: str) -> None:
    with pytest.raises(ClusterError, match=r"API_SERVER: must be HOST:PORT such as 192\.0\.2\.10:6443 .*, not "):
        parsed(chosen)


def test_of_several_api_servers_the_first_is_taken_and_a_load_balancer_suggested() -> None:
    endpoints = [{"addresses": ["192.0.2.12"]}, {"addresses": ["192.0.2.11"]}]
    found = of_slice({"endpoints": endpoints, "ports": [{"port": 6443}]})
    assert found is not None
    assert (found.host, found.port) == ("192.0.2.11", 6443)
    assert "the first of 2; if they have a load balancer, set API_SERVER to it" in found.source


def test_a_slice_without_addresses_says_nothing() -> None:
    assert of_slice({}) is None
    assert of_slice({"endpoints": None, "ports": [{"port": 6443}]}) is None
