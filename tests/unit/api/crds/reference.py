"""docs/api.md, made from the CRDs: `python -m tests.unit.api.crds.reference` writes it, a test holds it against them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.documents import document

ROOT = Path(__file__).parents[4]
PAGE = ROOT / "docs" / "api.md"
HEAD = """# API reference

`proxyconfig.dev/v1alpha1`. The same words are in `kubectl explain proxyconfigs.proxyconfig.dev.spec` and
`kubectl explain nodeproxies.proxyconfig.dev`. Made from `crds/` by `python -m tests.unit.api.crds.reference`.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_kind(plural) for plural in ("proxyconfigs", "nodeproxies"))


def _kind(plural: str) -> str:
    crd = document(ROOT / "crds" / f"{plural}.yaml")["spec"]
    schema = crd["versions"][0]["schema"]["openAPIV3Schema"]
    names = crd["names"]
    head = f"\n## {names['kind']} (`{names['plural']}`, `{names['shortNames'][0]}`)\n{schema['description']}\n"
    return head + "".join(_part(part, schema["properties"][part]) for part in ("spec", "status"))


def _part(name: str, schema: dict[str, Any]) -> str:
    rows = "".join(f"| `{path}` | {kind} | {text} |\n" for path, kind, text in _rows(schema, ""))
    return f"\n### {name}\n{schema['description']}\n\n| field | type | |\n|---|---|---|\n{rows}"


def _rows(schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, child in schema["properties"].items():
        path = f"{prefix}{name}"
        yield path, _type(child), " ".join(child["description"].split()).replace("|", "\\|")
        inner = child.get("items", child)
        if "properties" in inner:
            yield from _rows(inner, f"{path}[]." if "items" in child else f"{path}.")


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " ".join(f"`{choice}`" for choice in schema["enum"] if choice)
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    if "additionalProperties" in schema:
        return "map"
    return "integer or percentage" if schema.get("x-kubernetes-int-or-string") else str(schema["type"])


if __name__ == "__main__":
    PAGE.write_text(page())
