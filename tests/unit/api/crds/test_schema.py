"""The CRDs and the parser say the same: fields, types, choices, defaults; and `kubectl explain` has something to tell about each field."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

import jsonschema.validators
import msgspec
import pytest
from tests.support.documents import document
from tests.unit.api.crds.refusals import REFUSALS, SERVER_ONLY

from proxyconfig_api.encoding import codec
from proxyconfig_api.encoding.errors import InvalidSpec
from proxyconfig_api.objects.nodeproxy import QUARANTINED_LIMIT, NodeProxySpec, NodeProxyStatus
from proxyconfig_api.objects.proxyconfig import WORST_LIMIT, ProxyConfigStatus
from proxyconfig_api.spec.sections import ProxyConfigSpec
from proxyconfig_api.status.rollout import PROBES_LIMIT
from proxyconfig_api.values.cidr import Cidr, NodeAddresses
from proxyconfig_api.values.duration import Duration
from proxyconfig_api.values.intorpercent import IntOrPercent

CRDS = Path(__file__).parents[4] / "crds"
Schema = dict[str, Any]


def schema_of(plural: str) -> Schema:
    crd = document(CRDS / f"{plural}.yaml")
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]  # type: ignore[no-any-return]


PROXYCONFIG, NODEPROXY = schema_of("proxyconfigs"), schema_of("nodeproxies")
Draft = jsonschema.validators.validator_for(PROXYCONFIG["spec"])
SPEC = Draft(PROXYCONFIG["spec"])
PAIRS = [
    pytest.param(ProxyConfigSpec, PROXYCONFIG["spec"], id="ProxyConfig.spec"),
    pytest.param(ProxyConfigStatus, PROXYCONFIG["status"], id="ProxyConfig.status"),
    pytest.param(NodeProxySpec, NODEPROXY["spec"], id="NodeProxy.spec"),
    pytest.param(NodeProxyStatus, NODEPROXY["status"], id="NodeProxy.status"),
]


def differences(kind: Any, schema: Schema, path: str) -> Iterator[str]:
    """Where a Python type and a schema do not mean the same, as sentences."""
    kind = next((part for part in get_args(kind) if part is not NoneType), kind) if NoneType in get_args(kind) else kind
    kind = kind.__origin__ if hasattr(kind, "__metadata__") else kind
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from struct_differences(kind, schema, path)
    elif get_origin(kind) is tuple:
        yield from (
            differences(get_args(kind)[0], schema.get("items", {}), f"{path}[]") if schema["type"] == "array" else [f"{path}: no array"]
        )
    elif get_origin(kind) is Mapping:
        value = get_args(kind)[1]
        if value in (str, int):
            yield from differences(value, schema["additionalProperties"], f"{path}{{}}")
        elif "x-kubernetes-int-or-string" not in schema["additionalProperties"]:
            yield f"{path}: not int-or-string"
    elif isinstance(kind, type) and issubclass(kind, enum.Enum):
        if [choice.value for choice in kind] != schema.get("enum"):
            yield f"{path}: choices are {schema.get('enum')} in the schema"
    elif kind_of(schema) != SIMPLE[kind]:
        yield f"{path}: {kind_of(schema)} in the schema"


SIMPLE = {str: "string", int: "integer", bool: "boolean", Duration: "string", Cidr: "string", NodeAddresses: "array", datetime: "string"}
SIMPLE |= {IntOrPercent: "int-or-string"}


def kind_of(schema: Schema) -> str:
    return "int-or-string" if schema.get("x-kubernetes-int-or-string") else str(schema["type"])


def struct_differences(kind: type[msgspec.Struct], schema: Schema, path: str) -> Iterator[str]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name in sorted(fields.keys() ^ schema["properties"].keys()):
        yield f"{path}.{name}: only in the {'parser' if name in fields else 'schema'}"
    for name in sorted(fields.keys() & schema["properties"].keys()):
        if fields[name].required != (name in schema.get("required", [])) and name not in ALWAYS_WRITTEN:
            yield f"{path}.{name}: required in one of them only"
        yield from differences(fields[name].type, schema["properties"][name], f"{path}.{name}")


ALWAYS_WRITTEN = {"message", "lastTransitionTime"}
"""Of a condition: needed in the API, as in metav1.Condition, but no parser has to insist."""


def properties(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every property below `schema` with its path."""
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from properties(child, f"{path}.{name}")
    if "items" in schema:
        yield from properties(schema["items"], f"{path}[]")


def defaulted(value: Any, schema: Schema) -> Any:
    """`value` with the defaults that the API server puts in."""
    if isinstance(value, list):
        return [defaulted(item, schema["items"]) for item in value]
    if not isinstance(value, dict) or "properties" not in schema:
        return value
    absent = {name: child["default"] for name, child in schema["properties"].items() if "default" in child and name not in value}
    return {name: defaulted(item, schema["properties"].get(name, {})) for name, item in (absent | value).items()}


@pytest.mark.parametrize(("kind", "schema"), PAIRS)
def test_schema_and_parser_have_the_same_fields_types_and_choices(kind: type[msgspec.Struct], schema: Schema) -> None:
    assert list(differences(kind, schema, "")) == []


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"mode": "auto", "iptables": {}, "ipvs": {}, "userspace": {}}, id="every-mode"),
        pytest.param({"kernel": {}, "localTraffic": {}, "nodePorts": {}, "nodeSelector": {}}, id="empty-sections"),
        pytest.param({"agent": {"resources": {"limits": {"memory": "1Gi"}}, "tolerations": [{"key": "a"}]}}, id="agent"),
    ],
)
def test_the_parser_fills_in_the_defaults_of_the_schema(spec: dict[str, Any]) -> None:
    written_out = defaulted(spec, PROXYCONFIG["spec"])
    assert codec.decode(spec, ProxyConfigSpec) == codec.decode(written_out, ProxyConfigSpec)


EFFECT = r"Change: (applied live|restarts the agents|as nodeSelector\.|see its fields\.)"
"""How the sentence about the effect of a change begins; `spec` explains the words."""


@pytest.mark.parametrize(
    ("path", "schema"), [pytest.param(path, schema, id=path) for path, schema in properties(PROXYCONFIG["spec"], "spec")]
)
def test_the_description_of_a_field_names_its_default_and_the_effect_of_a_change(path: str, schema: Schema) -> None:
    text = schema["description"]
    sections = kind_of(schema) == "object" and "properties" in schema
    required = path.endswith((".key", ".operator", "[].name", "[].namespace", "[].port"))
    assert re.search(EFFECT, text), text
    assert sections or required or "Default: " in text, text
    default = schema.get("default")
    if default is not None and not isinstance(default, dict | list):
        written = (
            "none"
            if default == ""
            else f'"{default}"'
            if str(default).startswith(":")
            else str(default).lower()
            if isinstance(default, bool)
            else str(default)
        )
        assert f"Default: {written}" in text, text


@pytest.mark.parametrize(
    "schema", [pytest.param(NODEPROXY, id="NodeProxy"), pytest.param({"status": PROXYCONFIG["status"]}, id="ProxyConfig.status")]
)
def test_every_field_has_a_description(schema: Schema) -> None:
    assert [path for path, child in properties({"properties": schema}, "") if not child.get("description")] == []


WRONG = {
    "string": [1, True, ["x"], {}],
    "integer": ["1", "x", 1.5, [1]],
    "boolean": ["yes", 0, {}],
    "array": ["x", {}, 1],
    "object": ["x", [], 1],
    "int-or-string": [True, 1.5, ["x"], {}],
}


def test_the_schema_of_the_spec_is_one() -> None:
    Draft.check_schema(PROXYCONFIG["spec"])
    assert SPEC.is_valid({})


@pytest.mark.parametrize(
    ("path", "schema"),
    [pytest.param(path, schema, id=path) for path, schema in properties(PROXYCONFIG["spec"], "") if "[]" not in path],
)
def test_values_of_a_wrong_type_are_refused_by_both(path: str, schema: Schema) -> None:
    for wrong in WRONG[kind_of(schema)]:
        spec: Any = wrong
        for name in reversed(path.strip(".").split(".")):
            spec = {name: spec}
        assert not SPEC.is_valid(spec)
        with pytest.raises(InvalidSpec) as caught:
            codec.decode(spec, ProxyConfigSpec, under="spec")
        assert caught.value.problems[0].field.startswith(f"spec{path}")


def test_limits_of_lists_are_those_of_the_code() -> None:
    assert PROXYCONFIG["status"]["properties"]["worstNodes"]["maxItems"] == WORST_LIMIT
    assert NODEPROXY["status"]["properties"]["quarantined"]["maxItems"] == QUARANTINED_LIMIT
    assert NODEPROXY["status"]["properties"]["change"]["properties"]["probes"]["maxItems"] == PROBES_LIMIT


def messages(schema: Schema) -> Iterator[str]:
    """The message of every rule below `schema`, or how it begins where it depends on the value."""
    for rule in schema.get("x-kubernetes-validations", []):
        literal = re.match(r"""\s*(['"])(.*?)\1""", rule.get("messageExpression", ""))
        yield literal[2].replace('\\"', '"') if literal else rule["message"]
    for child in (*schema.get("properties", {}).values(), *(schema[key] for key in ("items",) if key in schema)):
        yield from messages(child)


def test_every_rule_of_the_schema_has_a_spec_that_it_refuses() -> None:
    told = [case.values[0].says for case in (*REFUSALS, *SERVER_ONLY)]
    assert [message for message in messages(PROXYCONFIG["spec"]) if not any(message in says or says in message for says in told)] == []


TWINS = {
    "mode": "mode",
    "conntrack.maxPerCore": "maxPerCore",
    "masquerade.all": "masqueradeAll",
    "masquerade.bit": "masqueradeBit",
    "localTraffic.clusterCIDRs": "clusterCIDR",
    "nodePorts.addresses": "nodePortAddresses",
    "sync.minSyncPeriod": "minSyncPeriod",
    "sync.fullSyncPeriod": "syncPeriod",
    "iptables.localhostNodePorts": "localhostNodePorts",
    "agent.healthzBindAddress": "healthzBindAddress",
    "agent.metricsBindAddress": "metricsBindAddress",
}
"""Fields whose twin in KubeProxyConfiguration somebody may search for."""


@pytest.mark.parametrize(("path", "twin"), TWINS.items())
def test_the_description_of_a_field_names_its_twin_in_kube_proxy(path: str, twin: str) -> None:
    described = {name.strip("."): child["description"] for name, child in properties(PROXYCONFIG["spec"], "")}
    assert f"(kube-proxy: {twin})" in described[path]


def test_durations_and_maps_have_an_example() -> None:
    described = {
        path: child["description"]
        for path, child in properties(PROXYCONFIG["spec"], "spec")
        if (kind_of(child) == "object" and "additionalProperties" in child) or "1h30m" in str(child.get("x-kubernetes-validations"))
    }
    assert {path: text for path, text in described.items() if not re.search(r"such as|Example: |Default: ([1-9{])", text)} == {}
