"""Flags, environment, and what is said about wrong ones."""

from __future__ import annotations

import pytest

from proxyconfig_api.objects import heartbeat, names
from proxyconfig_operator.app.options import api_server, parse
from proxyconfig_operator.model.address import Address


def test_what_the_manifest_sets_in_the_environment_is_used() -> None:
    settings = parse([], {"AGENT_IMAGE": "registry.test/agent:1", "POD_NAME": "op-1", "POD_NAMESPACE": "elsewhere", "LOG_LEVEL": "debug"})

    assert (settings.agent_image, settings.namespace, settings.log_level) == ("registry.test/agent:1", "elsewhere", "debug")
    assert settings.identity.startswith("op-1_")


def test_two_processes_of_one_pod_have_two_identities() -> None:
    environment = {"AGENT_IMAGE": "x", "POD_NAME": "op-1"}

    assert parse([], environment).identity != parse([], environment).identity


def test_without_anything_defaults_hold() -> None:
    settings = parse(["--agent-image", "x"], {})

    assert (settings.kubeconfig, settings.namespace, settings.log_format) == (None, names.NAMESPACE, "json")
    assert settings.health == Address("", 10358)
    assert settings.health.is_wildcard
    assert (settings.removal_deadline_s, settings.heartbeat_grace_s) == (120, heartbeat.GRACE_S)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param([], "--agent-image (or AGENT_IMAGE) is empty: name the image", id="no-image"),
        pytest.param(["--healthz-bind-address", "10358"], "'10358' is not [ADDRESS]:PORT", id="no-port"),
        pytest.param(["--removal-deadline", "soon"], "'soon' is not a number of seconds", id="no-number"),
        pytest.param(["--removal-deadline", "-1"], "'-1' is not a number of seconds", id="negative"),
    ],
)
def test_what_cannot_be_used_is_named(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments, {})

    assert caught.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://192.0.2.1:6443", Address("192.0.2.1", 6443)),
        ("https://[2001:db8::1]:6443", Address("2001:db8::1", 6443)),
        ("https://api.example.com", Address("api.example.com", 443)),
    ],
)
def test_agents_are_given_the_address_of_the_api_server(url: str, address: Address) -> None:
    assert api_server(url) == address
