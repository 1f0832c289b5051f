from __future__ import annotations

from tests.unit.api.crds.reference import PAGE, page


def test_the_reference_says_what_the_crds_say() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.unit.api.crds.reference`"
