"""The options in the text of a rule: words as a shell has them, and which of them belong together."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

Option = tuple[str, list[str], bool]
"""Name, values, and whether a `!` stands before it."""


def options_of(text: str) -> Iterator[Option]:
    """Those of a rule, in their order."""
    name, values, inverted, invert_next = "", list[str](), False, False
    for word in _words(text):
        if word == "!":
            invert_next = True
        elif re.match(r"-{1,2}[a-z]", word) and name != "--comment":
            if name:
                yield name, values, inverted
            name, values, inverted, invert_next = word, [], invert_next, False
        else:
            values.append(word)
            if name == "--comment":
                yield name, values, inverted
                name, values = "", []
    if name:
        yield name, values, inverted


def _words(text: str) -> list[str]:
    """As a shell has them; without its slow reader where no quote is inside of another."""
    if "\\" in text or "'" in text:
        return shlex.split(text)
    return [word for at, part in enumerate(text.split('"')) for word in ([part] if at % 2 else part.split())]
