"""A change of the mode whose probes fail while it is held: the node goes back by itself, and no client loses a request."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.kernel.mode_changes.going_back import gone_back, timed
from tests.kernel.mode_changes.stage import Stage, stage

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("agent"), "nftables") as made:
        yield made


@pytest.mark.parametrize(("old", "new"), [("nftables", "iptables"), ("nftables", "userspace"), ("iptables", "nftables")])
def test_a_node_goes_back_from_a_mode_that_is_held(made: Stage, old: str, new: str, record_property: Callable[[str, object], None]) -> None:
    gone_back(made, old, new, lambda: timed(made, old, record_property), record_property)


def test_a_restarted_agent_goes_back_with_what_was_known_before_the_change(
    made: Stage, record_property: Callable[[str, object], None]
) -> None:
    def restart() -> None:
        made.agent.kill()
        made.agent.restart()

    gone_back(made, "iptables", "nftables", restart, record_property)


def test_the_api_server_is_not_needed(made: Stage, record_property: Callable[[str, object], None]) -> None:
    gone_back(made, "iptables", "nftables", made.api.close, record_property)
