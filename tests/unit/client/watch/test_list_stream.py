"""A list response, cut into objects while it comes in."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyconfig_client.connection.errors import StreamError
from proxyconfig_client.watch.list_stream import ListStream, is_json

GO = (",", ":")
"""How API servers write: without spaces."""
TRICKY = st.sampled_from(["", "}", "]", ',{"metadata":', '"items":[', "\\", "ü", '"'])
VALUES = st.recursive(
    st.none() | st.integers() | TRICKY,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TRICKY, inner, max_size=3)
        | st.lists(st.fixed_dictionaries({"metadata": inner}), max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.lists(st.fixed_dictionaries({"metadata": st.fixed_dictionaries({"name": TRICKY}), "spec": VALUES}), max_size=6)


def answer(items: list[Any], *, separators: tuple[str, str] = GO, last: bool = False) -> bytes:
    head, version = {"kind": "ThingList"}, {"metadata": {"resourceVersion": "7", "x": "[]"}}
    content = {**head, "items": items, **version} if last else {**head, **version, "items": items}
    return json.dumps(content, separators=separators).encode() + b"\n"


def taken(octets: bytes, cuts: list[int], limit: int = 1 << 20) -> tuple[list[Any], str, int]:
    """The objects, the version, and the longest candidate that was held."""
    listing, found, longest = ListStream(limit), [], 0
    places = sorted({0, len(octets), *(place % (len(octets) + 1) for place in cuts)})
    for start, end in pairwise(places):
        for candidate in listing.feed(octets[start:end]):
            longest = max(longest, len(candidate))
            if is_json(candidate):
                found.append(json.loads(candidate))
            else:
                listing.incomplete()
    found += map(json.loads, listing.end())
    return found, listing.version, longest


@given(items=OBJECTS, cuts=st.lists(st.integers(0, 2000)), last=st.booleans(), separators=st.sampled_from([GO, (", ", ": ")]))
def test_every_object_comes_once_however_the_answer_is_written_and_cut(
    items: list[Any], cuts: list[int], last: bool, separators: tuple[str, str]
) -> None:
    assert taken(answer(items, separators=separators, last=last), cuts)[:2] == (items, "7")


def test_objects_come_before_the_answer_is_over() -> None:
    listing = ListStream(1 << 20)
    octets = answer([{"metadata": {"name": str(number)}} for number in range(100)])
    assert len(list(listing.feed(octets[: len(octets) // 2]))) > 40


def test_a_list_can_be_longer_than_what_may_be_held() -> None:
    items = [{"metadata": {"name": str(number)}} for number in range(1000)]
    octets = answer(items)
    assert taken(octets, list(range(0, len(octets), 64)), limit=500)[0] == items


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="html"),
        pytest.param(answer([{"metadata": {}}, {"metadata": {}}])[:-4], id="cut-off"),
        pytest.param(answer([{"metadata": {}}])[:-3] + b"]", id="no-end"),
    ],
)
def test_what_is_no_list_is_an_error(octets: bytes) -> None:
    with pytest.raises(StreamError):
        taken(octets, [])


def test_an_object_without_end_is_given_up() -> None:
    with pytest.raises(StreamError, match="longer than 1000 bytes"):
        taken(b'{"metadata":{},"items":[{"metadata":"' + b"x" * 2000, list(range(0, 2000, 100)), limit=1000)
