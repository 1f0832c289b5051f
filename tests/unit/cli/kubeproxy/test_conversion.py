"""Each field of KubeProxyConfiguration is carried over or has a note; no other field of the ProxyConfig changes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_api.spec.sections import DetectLocalMode, Mode
from proxyconfig_cli.kubeproxy.configuration import Configuration, of_document, parse
from proxyconfig_cli.kubeproxy.conversion import Imported, imported
from proxyconfig_cli.kubeproxy.fields import BY_PATH, FIELDS, Field, Kind


def _ends(path: str) -> list[int]:
    """Of the sections above a field."""
    return [index for index, letter in enumerate(path) if letter == "."]


OTHER: Mapping[str, object] = {
    "mode": "nftables",
    "iptables.localhostNodePorts": False,
    "ipvs.scheduler": "lc",
    "detectLocalMode": "NodeCIDR",
    "clusterCIDR": "10.0.0.0/8,fd00::/64",
    "healthzBindAddress": "192.0.2.1",
    "metricsBindAddress": "0.0.0.0:10249",
    "bindAddress": "192.0.2.1",
    "logging.verbosity": 4,
    "logging.format": "json",
    "nodePortAddresses": ("primary",),
    "ipvs.excludeCIDRs": ("192.0.2.0/24",),
}
"""Values that are not the default, where `other` makes none."""


def other(field: Field) -> object:
    """A value that is not the default."""
    if field.path in OTHER:
        return OTHER[field.path]
    match field.kind:
        case Kind.BOOLEAN:
            return not field.default
        case Kind.NUMBER:
            return int(str(field.default)) + 1
        case Kind.LIST:
            return ("a", "b")
        case Kind.MAP:
            return {"SomeGate": True}
        case Kind.TEXT:
            is_duration = str(field.default).endswith(("s", "m", "h"))
            return "7m" if is_duration else "veth" if not field.default else "other"


def surroundings(path: str) -> dict[str, object]:
    """Other fields, so that kube-proxy reads this one."""
    section = path.partition(".")[0]
    detection = {"detectLocal.bridgeInterface": "BridgeInterface", "detectLocal.interfaceNamePrefix": "InterfaceNamePrefix"}
    found: dict[str, object] = {"mode": section} if section in ("ipvs", "nftables") else {}
    return found | ({"detectLocalMode": detection[path], path: "before"} if path in detection else {})


def convert(values: Mapping[str, object]) -> Imported:
    return imported(Configuration(values), name="default")


def leaves(spec: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in spec.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield above + name, value


def changes(field: Field) -> set[str]:
    """What a value that is not the default changes in the ProxyConfig."""
    around = surroundings(field.path)
    before, after = (set(map(repr, leaves(convert(values).manifest["spec"]))) for values in (around, around | {field.path: other(field)}))
    return {each.split("'")[1] for each in before ^ after}


@pytest.mark.parametrize("field", [each for each in FIELDS if each.to and each.path != "mode"], ids=lambda each: each.path)
def test_a_field_with_a_counterpart_changes_that_and_nothing_else(field: Field) -> None:
    expected = {field.to} | ({"localTraffic.clusterCIDRs"} if field.to == "localTraffic.detectLocalMode" else set())
    assert changes(field)
    assert changes(field) <= expected
    assert not [note for note in convert(surroundings(field.path) | {field.path: other(field)}).notes if note.name == field.path]


@pytest.mark.parametrize("field", [each for each in FIELDS if not each.to], ids=lambda each: each.path)
def test_a_field_without_a_counterpart_has_a_note_and_changes_nothing(field: Field) -> None:
    notes = convert(surroundings(field.path) | {field.path: other(field)}).notes
    name = "featureGates.SomeGate" if field.path == "featureGates" else field.path
    assert [(note.name, note.why) for note in notes if note.name.startswith(field.path)] == [(name, field.why)]
    assert not changes(field)


@pytest.mark.parametrize("field", FIELDS, ids=lambda each: each.path)
def test_a_field_has_a_counterpart_or_a_reason(field: Field) -> None:
    assert bool(field.to) != bool(field.why)
    assert not field.why.endswith(".")


def test_the_defaults_of_kube_proxy_are_written_out_where_a_mode_changes_them() -> None:
    result = convert({})
    spec = {"mode": "iptables", "nodePorts": {"addresses": ["0.0.0.0/0", "::/0"]}, "agent": {"logFormat": "text"}}
    assert (result.manifest["spec"], result.notes) == (spec, ())


def test_nftables_mode_keeps_the_default_of_its_node_ports() -> None:
    assert convert({"mode": "nftables"}).manifest["spec"] == {"mode": "nftables", "agent": {"logFormat": "text"}}


@pytest.mark.parametrize("source", ["", "iptables", "ipvs", "nftables", "userspace"])
@pytest.mark.parametrize("target", list(Mode))
def test_every_mode_becomes_every_other(source: str, target: Mode) -> None:
    result = imported(Configuration({"mode": source} if source else {}), name="default", mode=target)
    assert ProxyConfig.parse(result.manifest).spec.mode is target


def test_another_mode_behaves_as_kube_proxys() -> None:
    """Node ports on all addresses and on localhost, as in iptables mode."""
    spec = imported(Configuration(), name="default", mode=Mode.NFTABLES).manifest["spec"]
    assert spec["nodePorts"] == {"addresses": ["0.0.0.0/0", "::/0"]}
    assert spec["nftables"] == {"localhostNodePorts": True}
    spec = imported(Configuration({"mode": "nftables"}), name="default", mode=Mode.IPTABLES).manifest["spec"]
    assert (spec["nodePorts"], spec["iptables"]) == ({"addresses": ["primary"]}, {"localhostNodePorts": False})


def test_ipvs_mode_reads_the_masquerading_of_iptables() -> None:
    """conversion.go."""
    result = convert({"mode": "ipvs", "iptables.masqueradeAll": True, "iptables.masqueradeBit": 3, "nftables.masqueradeBit": 4})
    assert result.manifest["spec"]["masquerade"] == {"all": True, "bit": 3}
    assert [(note.name, note.why) for note in result.notes] == [("nftables.masqueradeBit", "kube-proxy does not read it in mode ipvs")]


def test_settings_of_ipvs_have_a_note_where_the_mode_becomes_another() -> None:
    result = imported(Configuration({"mode": "ipvs", "ipvs.strictARP": True}), name="default", mode=Mode.NFTABLES)
    assert [str(note.name) for note in result.notes] == ["ipvs.strictARP"]
    assert "ipvs" not in result.manifest["spec"]


def test_one_node_can_be_selected() -> None:
    spec = imported(Configuration(), name="canary", node="n1").manifest["spec"]
    assert spec["nodeSelector"] == {"matchLabels": {"kubernetes.io/hostname": "n1"}}


@pytest.mark.parametrize("mode", list(DetectLocalMode))
def test_detection_that_is_not_in_use_has_a_note(mode: DetectLocalMode) -> None:
    every = {"clusterCIDR": "10.0.0.0/8", "detectLocal.bridgeInterface": "cni0", "detectLocal.interfaceNamePrefix": "veth"}
    result = convert(every | {"detectLocalMode": mode.value})
    assert len(result.notes) == (3 if mode is DetectLocalMode.NODE_CIDR else 2)
    assert result.manifest["spec"]["localTraffic"].get("detectLocalMode", "ClusterCIDR") == mode.value


def test_a_gate_against_external_ips_says_what_to_do_instead() -> None:
    (note,) = convert({"featureGates": {"AllowServiceExternalIPs": False}}).notes
    assert (note.name, note.value) == ("featureGates.AllowServiceExternalIPs", "false")
    assert "agents serve externalIPs" in note.why


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mode: kernelspace", "mode: must be iptables, ipvs or nftables"),
        ("conntrack: {maxPerCore: 1.5}", "spec.conntrack.maxPerCore: must be a whole number, not 1.5"),
        ("conntrack: {maxPerCore: many}", "^config.conf: conntrack.maxPerCore: must be a number, not 'many'"),
        ("logging: {verbosity: abc}", "^config.conf: logging.verbosity: must be a number, not 'abc'"),
        ("logging: {verbosity: .inf}", "logging.verbosity: must be a number, not inf"),
        ("iptables: {masqueradeAll: 'yes'}", "iptables.masqueradeAll: must be true or false, not 'yes'"),
        ("featureGates: [a]", r"featureGates: must be a mapping to true or false, not \['a'\]"),
        ("featureGates: {a: 'x'}", "featureGates: must be a mapping to true or false, not {'a': 'x'}"),
        ("nodePortAddresses: [{a: b}]", "nodePortAddresses: must be a list of texts, not"),
        ("healthzBindAddress: {a: 1}", "healthzBindAddress: must be text, not {'a': 1}"),
        ("conntrack: 5", "conntrack: must be a mapping, not 5"),
        ("logging: {options: {text: [1]}}", r"logging.options.text: must be a mapping, not \[1\]"),
        ("hello: world", "^config.conf: must be a KubeProxyConfiguration: none of its fields is there"),
        ("", "^config.conf: is empty$"),
        ("mode: ipvs\n---\nmode: nftables", "^config.conf: has several documents: give one$"),
        ("mode: 2026-13-45", "^config.conf: must be YAML or JSON: month must be in 1..12$"),
        ("mode: \x00", "^config.conf: must be YAML or JSON: "),
        ("clusterCIDR: 10.0.0.0", "must be a CIDR"),
        ("metricsBindAddress: nowhere", "spec.agent.metricsBindAddress: must be IP:PORT"),
        ("- 1", "must be a KubeProxyConfiguration"),
        ("{kind: KubeletConfiguration}", "must be a KubeProxyConfiguration, .*, not KubeletConfiguration"),
        ('{"kubeproxy.config.k8s.io": {"IPTables": {}}}', "internal form of an older kube-proxy"),
        ("a: [", "^config.conf: must be YAML or JSON: line 1, column 5: expected the node content, but found '<stream end>'$"),
    ],
)
def test_what_cannot_be_imported_is_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InvalidSpec, match=sentence):
        imported(parse(text, "config.conf"), name="default")


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
_ANYTHING = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2))
_PLACES = st.sampled_from(sorted({path[:end] for path in BY_PATH for end in (*_ends(path), len(path))}))


@given(_PLACES, _ANYTHING)
@example("logging.verbosity", float("inf"))
@example("detectLocal", [])
@example("mode", {})
def test_whatever_a_field_holds_it_is_imported_or_refused_by_a_sentence(path: str, value: object) -> None:
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, Mapping)
    with contextlib.suppress(InvalidSpec):
        imported(of_document(value), name="default")


def test_a_zero_is_the_default_of_a_field_that_is_no_pointer() -> None:
    """As kubeadm writes them."""
    zeros = ("conntrack: {maxPerCore: 0, min: null, udpTimeout: 0s}", "iptables: {syncPeriod: 0s}", "logging: {flushFrequency: 0}")
    text = "\n".join((*zeros, "clientConnection: {qps: 0}"))
    configuration = parse(text, "config.conf")
    assert configuration.changed() == ("conntrack.maxPerCore",)
    assert convert(configuration.values).manifest["spec"]["conntrack"] == {"maxPerCore": 0}


def test_what_configz_answers_is_read_as_the_file_is() -> None:
    answer = (
        '{"kubeproxy.config.k8s.io": {"kind": "KubeProxyConfiguration", "mode": "ipvs", "ipvs": {"scheduler": "lc", "syncPeriod": "30s"}}}'
    )
    assert parse(answer, "configz").values == parse("{mode: ipvs, ipvs: {scheduler: lc, syncPeriod: 30s}}", "file").values


def test_a_field_of_another_version_has_a_note() -> None:
    (note,) = imported(
        parse("kind: KubeProxyConfiguration\nudpIdleTimeout: 1s\nresourceContainer: null", "config.conf"), name="default"
    ).notes
    assert (note.name, note.why) == ("udpIdleTimeout", "KubeProxyConfiguration of Kubernetes 1.36 has no such field")


def test_durations_are_compared_by_their_length() -> None:
    assert not parse("conntrack: {tcpEstablishedTimeout: 24h0m0s}\nconfigSyncPeriod: 900s", "x").changed()


def test_the_addresses_of_ipv6_nodes_are_kept() -> None:
    agent = convert({"bindAddress": "::"}).manifest["spec"]["agent"]
    assert agent["metricsBindAddress"] == "[::1]:10249"
    assert "healthzBindAddress" not in agent


def test_defaults_are_those_of_the_table() -> None:
    assert all(Configuration()[path] == BY_PATH[path].default for path in BY_PATH)
