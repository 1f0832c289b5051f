"""JSON to values and back: the one place that knows how Duration, Cidr, NodeAddresses and IntOrPercent are written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

import msgspec

from proxyconfig_api.encoding import sentences
from proxyconfig_api.encoding.errors import InvalidSpec, Problem
from proxyconfig_api.values.cidr import Cidr, NodeAddresses
from proxyconfig_api.values.duration import Duration
from proxyconfig_api.values.intorpercent import IntOrPercent

T = TypeVar("T")

_UNKNOWN_CHOICE = "Invalid enum value "
_PATH = re.compile(r"(?P<problem>.*?)(?: - at `(?P<path>.*)`)?", re.DOTALL)


def decode(manifest: Mapping[str, Any] | bytes, kind: type[T], under: str = "") -> T:
    """`manifest` as a value of type `kind`; unknown fields are ignored. Raises InvalidSpec naming the field, below `under`."""
    try:
        if isinstance(manifest, bytes):
            return msgspec.json.decode(manifest, type=kind, dec_hook=dec_hook)
        return msgspec.convert(manifest, kind, dec_hook=dec_hook)
    except msgspec.ValidationError as error:
        raise _invalid(error, manifest, kind, under) from None
    except msgspec.DecodeError as error:
        raise InvalidSpec([Problem(under or "document", f"must be JSON: {error}")]) from None


def unknown_fields(manifest: Any, kind: Any) -> tuple[str, ...]:
    """The paths in `manifest` that `kind` has no field for, sorted: `decode` ignores them, as a newer writer may have sent them."""
    return tuple(sorted(set(_unknown(manifest, kind, ""))))


def builtins(value: object) -> Any:
    """`value` as dicts, lists, strings and numbers, for the API or for YAML."""
    return msgspec.to_builtins(value, enc_hook=enc_hook, str_keys=True)


def filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without fields that are empty. An apply gives a field up by leaving it out; null is refused by the API server."""
    return {name: value for name, value in fields.items() if value not in (None, "", (), [], {})}


def dec_hook(kind: type, raw: Any) -> Any:
    """For msgspec decoders of types of this package."""
    if kind in (Duration, Cidr, NodeAddresses, IntOrPercent):
        return kind.parse(raw)
    raise NotImplementedError(kind)


def enc_hook(value: Any) -> Any:
    """For msgspec encoders of types of this package."""
    if isinstance(value, Duration | Cidr):
        return str(value)
    if isinstance(value, NodeAddresses):
        return value.items()
    if isinstance(value, IntOrPercent):
        return value.builtin()
    raise NotImplementedError(type(value))


def _invalid(error: msgspec.ValidationError, manifest: Any, kind: type, under: str) -> InvalidSpec:
    """msgspec says `Expected `int`, got `str` - at `$.spec.x``; the hooks' own sentences come the same way."""
    match = _PATH.fullmatch(str(error))
    problem, path = (match["problem"], match["path"] or "$") if match else (str(error), "$")
    names = path.removeprefix("$").removeprefix(".")
    if lacking := sentences.missing(problem):
        return InvalidSpec([Problem(".".join(filter(None, (under, names, lacking))), "must be there: add it")])
    sentence = sentences.expected(problem, manifest, names) or problem.replace("`", "")
    if sentence.startswith(_UNKNOWN_CHOICE):
        sentence = f"must be one of {', '.join(_choices(kind, names))}, not {sentence.removeprefix(_UNKNOWN_CHOICE)}"
    return InvalidSpec([Problem(".".join(filter(None, (under, names))) or "document", sentence[:1].lower() + sentence[1:])])


def _choices(kind: Any, path: str) -> list[str]:
    """The values of the enum at `path` (`spec.agent.logLevel`, `spec.list[0].operator`) of the Struct `kind`."""
    for name in re.sub(r"\[.*?\]", "", path).split("."):
        kind = next(field.type for field in msgspec.structs.fields(_struct(kind)) if field.encode_name == name)
    return [choice.value for choice in kind]


def _unknown(value: Any, kind: Any, path: str) -> Iterator[str]:
    if not any(isinstance(part, type) and issubclass(part, msgspec.Struct) for part in (kind, *get_args(kind))):
        return
    if isinstance(value, list):
        for each in value:
            yield from _unknown(each, kind, path)
    if isinstance(value, Mapping):
        known = {field.encode_name: field.type for field in msgspec.structs.fields(_struct(kind))}
        for name, inner in value.items():
            if name in known:
                yield from _unknown(inner, known[name], f"{path}{name}.")
            else:
                yield path + name


def _struct(kind: Any) -> type[msgspec.Struct]:
    """The Struct in `Struct`, `Struct | None` or `tuple[Struct, ...]`."""
    return next(part for part in (kind, *get_args(kind)) if isinstance(part, type) and issubclass(part, msgspec.Struct))
