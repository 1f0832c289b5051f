"""msgspec's messages as sentences: what must be there, and what is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_EXPECTED = re.compile(r"Expected `(?P<kinds>[^`]+)`(?P<bound> [<>]=? \S+)?(?:, got `(?P<found>[^`]*)`)?")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_KINDS = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "null": "null",
    "object": "a mapping",
    "str": "text",
}
_BOUNDS = {">=": "of at least", "<=": "of at most", ">": "above", "<": "below"}
_LONGEST = 40
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def missing(message: str) -> str:
    """The field that an object lacks; empty for another message."""
    found = _MISSING.fullmatch(message)
    return found["name"] if found else ""


def expected(message: str, manifest: Any, path: str) -> str:
    """`must be a whole number of at least 0, not -1`, where msgspec expects something else at `path` (`spec.list[0].field`) of `manifest`;
    empty for another message."""
    found = _EXPECTED.fullmatch(message)
    if not found:
        return ""
    kinds = " or ".join(_KINDS.get(kind, kind) for kind in found["kinds"].split(" | ") if kind != "null" or found["kinds"] == "null")
    sign, _, limit = (found["bound"] or "").strip().partition(" ")
    bound = f" {_BOUNDS[sign]} {limit}" if sign else ""
    there = _there(manifest, path) or (found["found"] and _KINDS.get(found["found"], found["found"]))
    return f"must be {kinds}{bound}" + (f", not {there}" if there else "")


def _there(manifest: Any, path: str) -> str:
    """What is at `path`, as JSON would have it; empty where that cannot be known."""
    value = manifest
    for index, name in _STEP.findall(path):
        try:
            value = value[int(index)] if index else value[name]
        except (LookupError, TypeError):
            return ""
    if isinstance(value, Mapping | list | tuple | bytes):
        return ""
    words = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"
