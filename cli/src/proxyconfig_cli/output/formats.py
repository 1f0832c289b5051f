"""Objects as JSON or YAML, as kubectl prints them."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml


def as_yaml(value: Any) -> str:
    """`value`, of dicts, lists and scalars, with its keys in their order."""
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=False, allow_unicode=True, width=1000)


def as_json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=4).decode() + "\n"


def formatted(value: Any, output: str) -> str:
    """`output`: json or yaml."""
    return as_json(value) if output == "json" else as_yaml(value)
