from __future__ import annotations

import pytest

from proxyconfig_api.encoding import codec
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.objects.revision import revision_of, unknown_fields
from proxyconfig_api.spec.sections import Mode, ProxyConfigSpec


@pytest.mark.parametrize(
    ("spec", "unknown"),
    [
        pytest.param({}, (), id="nothing"),
        pytest.param({"mood": "good", "mode": "nftables"}, ("spec.mood",), id="at the top"),
        pytest.param({"sync": {"minSyncPeriod": "1s", "never": 1}}, ("spec.sync.never",), id="in a section"),
        pytest.param({"sync": "no object"}, (), id="what is no object has no fields: decoding refuses it"),
        pytest.param({"kernel": {"sysctls": {"net.a.b": "1"}}}, (), id="keys of a map are no fields"),
        pytest.param(
            {"agent": {"tolerations": [{"key": "a", "color": "red"}, {"color": "blue"}]}}, ("spec.agent.tolerations.color",), id="in a list"
        ),
    ],
)
def test_fields_that_are_not_known_are_named_by_their_path(spec: dict[str, object], unknown: tuple[str, ...]) -> None:
    assert unknown_fields({"spec": spec}) == unknown


def test_what_we_write_ourselves_is_known() -> None:
    assert unknown_fields(revision_of("x", ProxyConfigSpec(mode=Mode.IPTABLES)).content) == ()
    assert codec.unknown_fields(codec.builtins(ProxyConfigSpec()), ProxyConfigSpec) == ()
    assert codec.unknown_fields({"spec": {"mode": "auto"}, "kind": "ProxyConfig"}, ProxyConfig) == ("kind",)
