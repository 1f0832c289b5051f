"""The environment that the measured agent runs in."""

from __future__ import annotations

from tests.bench.environment import variables, variables_of


def test_the_agent_gets_what_its_image_sets() -> None:
    assert variables_of("FROM x\nENV A=1 B='two words'\nRUN ENV\nENV C=/dev/null\n") == {"A": "1", "B": "two words", "C": "/dev/null"}


def test_the_sources_stand_in_for_the_images_packages() -> None:
    found = variables()

    assert found["PYTHONUNBUFFERED"] == "1"
    assert found["PYTHONPATH"].endswith("/agent/src")
