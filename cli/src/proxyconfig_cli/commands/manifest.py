"""Files that a command is given."""

from __future__ import annotations

from typing import Any, TextIO

from proxyconfig_api.encoding.errors import InvalidSpec, Problem
from proxyconfig_api.objects.names import API_VERSION
from proxyconfig_api.objects.proxyconfig import ProxyConfig
from proxyconfig_cli.input.document import document_of
from proxyconfig_cli.input.text import text_of


def manifest_of(file: TextIO) -> dict[str, Any]:
    """The only document of `file`, a valid ProxyConfig. Raises InvalidSpec, which names the file."""
    name = name_of(file)
    document = document_of(read(file), name)
    if not isinstance(document, dict) or document.get("kind") != "ProxyConfig":
        raise InvalidSpec([Problem(name, f"must be a ProxyConfig: kind is {_kind(document)}")])
    if document.get("apiVersion") != API_VERSION:
        raise InvalidSpec([Problem(name, f"apiVersion must be {API_VERSION}, not {document.get('apiVersion', 'missing')}")])
    try:
        ProxyConfig.parse(document)
    except InvalidSpec as error:
        raise InvalidSpec(Problem(f"{name}: {each.field}", each.fix, each.value) for each in error.problems) from None
    return document


def read(file: TextIO) -> str:
    """The text of `file`. Raises InvalidSpec."""
    return text_of(file.buffer.read(), name_of(file))


def name_of(file: TextIO) -> str:
    """For messages."""
    return "standard input" if file.name in ("-", "<stdin>") else file.name


def _kind(document: object) -> str:
    return str(document.get("kind", "missing")) if isinstance(document, dict) else "missing"
