"""The text of a file, whichever program wrote it."""

from __future__ import annotations

import codecs

from proxyconfig_api.encoding.errors import InvalidSpec, Problem

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def text_of(octets: bytes, name: str) -> str:
    """UTF-8, or UTF-16 with its mark, as PowerShell's `>` writes it. Raises InvalidSpec, which names the file `name`."""
    encoding = next((each for mark, each in _MARKS.items() if octets.startswith(mark)), "utf-8")
    try:
        return octets.decode(encoding)
    except UnicodeDecodeError as error:
        raise InvalidSpec([Problem(name, f"is not UTF-8, from byte {error.start} on: save it as UTF-8")]) from None
