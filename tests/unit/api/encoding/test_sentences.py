"""What is wrong with a value, as a sentence with the value that is there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxyconfig_api.encoding import codec
from proxyconfig_api.encoding.errors import InvalidSpec


class Inner(msgspec.Struct):
    name: str


class Sample(msgspec.Struct, rename="camel"):
    is_on: bool = False
    parts: tuple[Inner, ...] = ()
    note: str | None = None
    ratio: float = 1.0
    by_name: dict[str, int] = {}


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        ({"isOn": "yes"}, "isOn: must be true or false, not 'yes'"),
        ({"isOn": None}, "isOn: must be true or false, not null"),
        ({"isOn": "y" * 100}, f"isOn: must be true or false, not '{'y' * 38}…"),
        ({"note": True}, "note: must be text, not true"),
        ({"ratio": []}, "ratio: must be a number, not a list"),
        ({"parts": {"name": "x"}}, "parts: must be a list, not a mapping"),
        ({"parts": [{"name": "x"}, {"name": 5}]}, "parts[1].name: must be text, not 5"),
        ({"parts": [{}]}, "parts[0].name: must be there: add it"),
        ({"byName": {"a": "b"}}, "byName[...]: must be a whole number, not text"),
        (b'{"isOn": "yes"}', "isOn: must be true or false, not text"),
        (b"[]", "document: must be a mapping, not a list"),
        (b"{", "document: must be JSON: Input data was truncated"),
    ],
)
def test_a_value_of_another_type_is_named_with_what_must_be_there(manifest: Any, sentence: str) -> None:
    with pytest.raises(InvalidSpec) as refusal:
        codec.decode(manifest, Sample)
    assert str(refusal.value) == sentence
