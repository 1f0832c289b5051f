"""Objects gone wrong: JSON of real ones with values replaced, taken away, doubled and multiplied."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.support.scenarios.objects import Allocator, Story
from tests.support.scenarios.scenario import Object, load

ADDRESSES = (
    *("10.96.0.10", "fd00:10:96::10", "::ffff:10.96.0.10", "::ffff:010.96.0.10", "010.096.000.010", "10.96.0.256", "10.96.0", "0.0.0.0"),
    *("::", "127.0.0.1", "::1", "255.255.255.255", "224.0.0.1", "fe80::1%eth0", "10.96.0.10%1", "10.96.0.10 ", "0x0a.1.1.1", "web.example"),
)
NETWORKS = (
    *("10.0.0.0/8", "10.1.2.3/8", " 10.0.0.0/8 ", "010.0.0.0/08", "10.0.0.0/33", "10.0.0.0/-1", "0.0.0.0/0", "::/0", "fd00::1/64"),
    *("fd00::/129", "::ffff:10.0.0.0/104", "10.0.0.0", "/8", "10.0.0.0/", "10.0.0.0/8/8", "fe80::1%eth0/64"),
)
NUMBERS = (0, -1, 1, 80, 443, 30001, 65535, 65536, 86401, 2**31, 2**32 + 80, 2**53 + 1, 2**63, 2**64, 10**40, 1.5, 80.0, 1e300, -1e300)
WORDS = (
    "",
    " ",
    "None",
    "TCP",
    "SCTP",
    "udp",
    "Local",
    "http",
    "a\0b",
    "ü€𝄞",
    "\x1b[31m",
    '"; drop',
    "../..",
    "%s{}",
    "x" * 300,
    "y" * 20_000,
)
OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [None], [[]], {"a": None}, [{}], {"": ""})
TIMES = ("2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "2026-01-01T00:00:00+99:99", "-1", "now")

ANYTHING = (ADDRESSES, NETWORKS, NUMBERS, WORDS, OTHERS, TIMES)


def real_objects() -> dict[str, list[Object]]:
    """All Services, and all EndpointSlices, of all steps of all scenarios."""
    found: dict[str, list[Object]] = {"Service": [], "EndpointSlice": []}
    allocator = Allocator()
    for scenario in load():
        story = Story(scenario, allocator)
        for _ in scenario.steps:
            story.advance()
            for key, one in story.objects().items():
                found[key[0]].append(one)
    return found


REAL = real_objects()


def mutated(originals: list[Object], random: Random) -> Object:
    """One of the originals with a few things wrong."""
    made = copy.deepcopy(random.choice(originals))
    for _ in range(random.randint(1, 4)):
        _break(made, random)
    return made


def _break(made: Object, random: Random) -> None:
    places = list(_places(made))
    if not places:
        return
    holder, place = random.choice(places)
    match random.choice(("replace", "replace", "replace", "drop", "multiply", "double", "wrap")):
        case "replace":
            holder[place] = copy.deepcopy(random.choice(random.choice(ANYTHING)))
        case "drop":
            del holder[place]
        case "multiply" if isinstance(holder, list):
            holder += [copy.deepcopy(holder[place]) for _ in range(random.choice((1, 2, 2000)))]
        case "double":
            holder[place] = [holder[place], copy.deepcopy(holder[place])]
        case _:
            holder[place] = {"value": holder[place]}


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every key of every mapping and every index of every list in it."""
    keys: Any = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in list(keys):
        yield value, key
        yield from _places(value[key])
