"""A ProxyConfig in a file."""

from __future__ import annotations

from typing import Any, TextIO

import yaml

from proxyconfig_api.encoding.errors import InvalidSpec, Problem


def manifest_of(file: TextIO) -> dict[str, Any]:
    """The only document of `file`. Raises InvalidSpec if it is no ProxyConfig."""
    try:
        document = yaml.safe_load(file.read())
    except yaml.YAMLError as error:
        raise InvalidSpec([Problem(file.name, f"must be one YAML document: {' '.join(str(error).split())}")]) from None
    if not isinstance(document, dict) or document.get("kind") != "ProxyConfig":
        raise InvalidSpec([Problem(file.name, "must be a ProxyConfig")])
    return document
