"""Which endpoints the proxy process skips for a while."""

from __future__ import annotations

import errno

import pytest
from tests.support.clock import FakeClock

from proxyconfig_agent.dataplane.userspace.proxy.routes.failures import MEMORY_S, RETRY_S, SILENT_S, Failures

ONE, OTHER = b"\x0a\0\0\1\0\x50", b"\x0a\0\0\2\0\x50"


class Attempts:
    def __init__(self) -> None:
        self._clock = FakeClock()
        self.failures = Failures(self._clock.clock.monotonic)

    def after(self, seconds: float, number: int, endpoint: bytes = ONE) -> bool:
        """Fail with this error number after a pause; whether the endpoint is skipped then."""
        self._clock.advance(seconds)
        self.failures.add(endpoint, number)
        return endpoint in self.failures

    def is_skipped_after(self, seconds: float) -> bool:
        self._clock.advance(seconds)
        return ONE in self.failures


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.ECONNRESET, errno.EHOSTUNREACH, errno.ENETUNREACH])
def test_an_endpoint_that_refuses_is_skipped_for_a_time_or_until_it_takes_a_connection(number: int) -> None:
    attempts = Attempts()
    assert attempts.after(0, number)
    assert attempts.is_skipped_after(RETRY_S - 0.1)
    assert not attempts.is_skipped_after(0.1)
    assert attempts.after(0, number)
    attempts.failures.discard(ONE)
    assert not attempts.is_skipped_after(0)


def test_an_endpoint_is_not_skipped_for_one_attempt_without_an_answer_nor_for_several_within_a_moment() -> None:
    attempts = Attempts()
    assert not any(attempts.after(seconds, errno.ETIMEDOUT) for seconds in (0, 0, 0.25, 0.25, SILENT_S - 0.6))


def test_an_endpoint_that_has_not_answered_for_long_is_skipped_and_again_at_once_if_it_is_still_silent() -> None:
    attempts = Attempts()
    assert not attempts.after(0, errno.ETIMEDOUT)
    assert attempts.after(SILENT_S, errno.ETIMEDOUT)
    assert not attempts.is_skipped_after(RETRY_S)
    assert attempts.after(0, errno.ETIMEDOUT)


def test_a_connection_that_an_endpoint_takes_ends_its_silence() -> None:
    attempts = Attempts()
    attempts.after(0, errno.ETIMEDOUT)
    attempts.failures.discard(ONE)
    assert not attempts.after(SILENT_S, errno.ETIMEDOUT)


def test_two_attempts_without_an_answer_that_are_far_apart_have_nothing_to_do_with_each_other() -> None:
    attempts = Attempts()
    attempts.after(0, errno.ETIMEDOUT)
    assert not attempts.after(MEMORY_S, errno.ETIMEDOUT)
    attempts.after(0, errno.ETIMEDOUT, OTHER)
    assert not attempts.after(MEMORY_S, errno.ETIMEDOUT)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EPERM])
def test_what_the_node_lacks_is_no_fault_of_an_endpoint(number: int) -> None:
    assert not Attempts().after(0, number)
