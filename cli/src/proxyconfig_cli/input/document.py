"""The only YAML or JSON document of a text."""

from __future__ import annotations

import yaml

from proxyconfig_api.encoding.errors import InvalidSpec, Problem


def document_of(text: str, name: str) -> object:
    """Dicts, lists and scalars. Raises InvalidSpec, which names where the text is from, `name`, for a text with none or several of them."""
    try:
        documents = [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.MarkedYAMLError as error:
        raise InvalidSpec([Problem(name, f"must be YAML or JSON: {_place(error)}")]) from None
    except (yaml.YAMLError, ValueError) as error:  # characters that YAML has not; a date such as 2026-13-45
        raise InvalidSpec([Problem(name, f"must be YAML or JSON: {' '.join(str(error).split())}")]) from None
    if len(documents) != 1:
        raise InvalidSpec([Problem(name, "has several documents: give one" if documents else "is empty")])
    return documents[0]


def _place(error: yaml.MarkedYAMLError) -> str:
    """`line 3, column 5: mapping values are not allowed here`."""
    words = error.problem or error.context or "not understood"
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}, column {mark.column + 1}: {words}" if mark else words
