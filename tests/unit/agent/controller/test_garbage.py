"""No collection of reference cycles looks at everything that an agent keeps: each one stops all threads, the event loop's among them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from proxyconfig_agent.controller import garbage


@pytest.fixture
def looked_at() -> Iterator[list[int]]:
    """How many objects each collection looked at. Afterwards garbage is collected as before."""
    threshold, numbers = gc.get_threshold(), list[int]()

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            numbers.append(sum(len(gc.get_objects(generation=each)) for each in range(info["generation"] + 1)))

    gc.callbacks.append(note)
    yield numbers
    gc.callbacks.remove(note)
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_a_collection_looks_at_a_bounded_number_of_objects_however_many_come_to_stay(looked_at: list[int]) -> None:
    garbage.configure()
    garbage.keep()
    looked_at.clear()
    kept = [[each] for each in range(15 * garbage.YOUNG)]
    assert len(looked_at) >= 10
    assert max(looked_at) <= (garbage.SURVIVED + 3) * garbage.YOUNG
    assert len(kept) == 15 * garbage.YOUNG


def test_what_is_kept_is_never_looked_at_again(looked_at: list[int]) -> None:
    garbage.configure()
    kept = [[each] for each in range(8 * garbage.YOUNG)]
    looked_at.clear()
    garbage.keep()
    gc.collect()
    assert max(looked_at) <= garbage.YOUNG + 1000
    assert len(kept) == 8 * garbage.YOUNG
