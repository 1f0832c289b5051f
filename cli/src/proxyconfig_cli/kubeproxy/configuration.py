"""A KubeProxyConfiguration as the values of its fields, whichever way they were written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxyconfig_api.encoding.errors import InvalidSpec, Problem
from proxyconfig_api.values.duration import Duration
from proxyconfig_cli.input.document import document_of
from proxyconfig_cli.kubeproxy.fields import BY_PATH, Field

API_VERSION, KIND = "kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration"
_CONFIGZ = "kubeproxy.config.k8s.io"
_TOP = {path.partition(".")[0] for path in BY_PATH}
_SECTIONS = {path[:end] for path in BY_PATH for end, letter in enumerate(path) if letter == "."}
_LONGEST = 60
_TYPES = {bool: "true or false", int: "a number", str: "text", tuple: "a list of texts", dict: "a mapping to true or false"}


@dataclass(frozen=True, slots=True)
class Configuration:
    """`values` by the path of their field; a field that is not there has its default."""

    values: Mapping[str, object] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)
    """What is written but is no field of v1alpha1: its name, and why it is not carried over."""

    def __getitem__(self, path: str) -> Any:
        return self.values.get(path, BY_PATH[path].default)

    def __or__(self, other: Configuration) -> Configuration:
        """With the values of `other` before these, as a command line before a file."""
        return Configuration({**self.values, **other.values}, {**self.unknown, **other.unknown})

    def changed(self) -> tuple[str, ...]:
        """The paths of the fields whose value is not kube-proxy's default, in the order of the table."""
        return tuple(path for path in BY_PATH if path in self.values and not _same(self.values[path], BY_PATH[path].default))


def parse(text: str, source: str) -> Configuration:
    """The configuration in a file or a key of a ConfigMap (YAML), or in what /configz answers (JSON). Raises InvalidSpec."""
    document = document_of(text, source)  # JSON is YAML, but for tabs between its words, which /configz does not write
    if isinstance(document, Mapping) and _CONFIGZ in document:
        document = document[_CONFIGZ]
    if not isinstance(document, Mapping):
        raise InvalidSpec([Problem(source, f"must be a {KIND}, {API_VERSION}")])
    _check_kind(document, source)
    try:
        return of_document(document)
    except InvalidSpec as error:
        raise InvalidSpec(Problem(f"{source}: {each.field}", each.fix, each.value) for each in error.problems) from None


def _check_kind(document: Mapping[str, Any], source: str) -> None:
    if "Linux" in document or "IPTables" in document:
        fix = "is the internal form of an older kube-proxy, which has no documented names: import its configuration file instead"
        raise InvalidSpec([Problem(source, fix)])
    found = document.get("apiVersion", API_VERSION), document.get("kind", KIND)
    if found != (API_VERSION, KIND):
        raise InvalidSpec([Problem(source, f"must be a {KIND}, {API_VERSION}, not {found[1]}, {found[0]}")])
    if not document.keys() & ({"apiVersion", "kind"} | _TOP):
        raise InvalidSpec([Problem(source, f"must be a {KIND}: none of its fields is there, as mode or conntrack")])


def of_document(document: Mapping[str, Any]) -> Configuration:
    """The fields of a decoded KubeProxyConfiguration. Raises InvalidSpec for each that has another type than in Go."""
    leaves = {path: value for path, value in _leaves(document, "") if path not in ("apiVersion", "kind") and value is not None}
    if problems := tuple(_mistaken(leaves)):
        raise InvalidSpec(problems)
    values = {path: _normal(path, value) for path, value in leaves.items() if path in BY_PATH and not _is_unset(path, value)}
    unknown = (path for path in leaves if path not in BY_PATH)
    return Configuration(values, dict.fromkeys(unknown, "KubeProxyConfiguration of Kubernetes 1.36 has no such field"))


def _leaves(node: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        path = f"{above}{name}"
        if isinstance(value, Mapping) and path not in BY_PATH:
            yield from _leaves(value, f"{path}.")
        else:
            yield path, value


def _mistaken(leaves: Mapping[str, object]) -> Iterator[Problem]:
    for path, value in leaves.items():
        if path in _SECTIONS:
            yield Problem(path, f"must be a mapping, not {_short(value)}")
        elif path in BY_PATH and not _fits(value, BY_PATH[path]):
            yield Problem(path, f"must be {_TYPES[type(BY_PATH[path].default)]}, not {_short(value)}")


def _short(value: object) -> str:
    words = repr(value)
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 1]}…"


def _fits(value: object, field: Field) -> bool:
    """A number may stand for text, as 0 for a duration. Only vmodule is a list of something else than text."""
    match field.default:
        case bool():
            return isinstance(value, bool)
        case int():
            return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        case tuple():
            return isinstance(value, list) and (field.path == "logging.vmodule" or all(isinstance(each, str) for each in value))
        case dict():
            return isinstance(value, Mapping) and all(isinstance(each, bool) for each in value.values())
        case _:
            return isinstance(value, str | int | float) and not isinstance(value, bool)


def _is_unset(path: str, value: object) -> bool:
    """A zero of Go is the default of every field that is no pointer."""
    return not BY_PATH[path].optional and (not value or (isinstance(value, str) and _seconds(value) == 0))


def _normal(path: str, value: object) -> object:
    """As the table's defaults are written: a list is a tuple, and what is text there is text."""
    if isinstance(value, list):
        return tuple(value)
    return str(value) if isinstance(BY_PATH[path].default, str) and isinstance(value, int | float) else value


def _same(value: object, default: object) -> bool:
    """Durations may be written in several ways."""
    return value == default or (isinstance(value, str) and isinstance(default, str) and _seconds(value) == _seconds(default) is not None)


def _seconds(text: str) -> float | None:
    try:
        return Duration.parse(text)
    except ValueError:
        return None
