"""What each failure of a list or watch leads to."""

from __future__ import annotations

import ssl

import pytest

from proxyconfig_client.connection.errors import ApiError, ConfigurationError, RestoredError, StreamError
from proxyconfig_client.watch.disposition import Absent, Attempt, Disposition, Relist, Resume, Simplify, disposition_of

LIST, STREAMED_LIST, WATCH = Attempt(), Attempt(streams_lists=True), Attempt(resumed=True, streams_lists=True)
FIELDS = ApiError(400, "BadRequest", "field label not supported: spec.clusterIP")
REFUSED = ApiError(422, "Invalid", "sendInitialEvents is forbidden for watch")


@pytest.mark.parametrize("attempt", [LIST, STREAMED_LIST, WATCH])
@pytest.mark.parametrize(
    ("error", "disposition"),
    [
        (ConnectionResetError(), Resume(verify=True)),
        (TimeoutError(), Resume(verify=True)),
        (ssl.SSLCertVerificationError(), Resume(verify=True)),
        (StreamError("nonsense"), Resume(verify=True)),
        (ConfigurationError("no token"), Resume(verify=True)),
        (RestoredError("62 after 103"), Relist()),
        (ApiError(410, "Expired", "too old resource version"), Relist()),
        (ApiError(504, "Timeout", "Timeout: Too large resource version: 103, current: 62"), Relist()),
        (ApiError(504, "Timeout", "request did not complete in time"), Resume()),
        (ApiError(429, "TooManyRequests", "later", retry_after_s=7.0), Resume(retry_after_s=7.0)),
        (ApiError(500, "InternalError", "", retry_after_s=0.0), Resume()),
        (ApiError(401, "Unauthorized", ""), Resume()),
        (ApiError(403, "Forbidden", ""), Resume()),
        (ApiError(404, "NotFound", ""), Resume()),
    ],
    ids=lambda value: str(value) if isinstance(value, Exception) else None,
)
def test_most_failures_mean_the_same_for_lists_and_watches(error: Exception, attempt: Attempt, disposition: Disposition) -> None:
    assert disposition_of(error, attempt) == disposition


@pytest.mark.parametrize(
    ("error", "attempt", "disposition"),
    [
        pytest.param(ApiError(404, "NotFound", ""), Attempt(optional=True), Absent(), id="optional-resource"),
        pytest.param(REFUSED, STREAMED_LIST, Simplify(streams_lists=False, optional_fields=False), id="no-WatchList"),
        pytest.param(REFUSED, Attempt(streams_lists=True, optional_fields=True), Simplify(False, True), id="no-WatchList-with-fields"),
        pytest.param(REFUSED, WATCH, Relist(), id="version-that-is-none"),
        pytest.param(REFUSED, LIST, Resume(), id="plain-list-refused"),
        pytest.param(FIELDS, Attempt(optional_fields=True), Simplify(False, False), id="unsupported-field"),
        pytest.param(FIELDS, Attempt(streams_lists=True, optional_fields=True), Simplify(True, False), id="unsupported-field-streamed"),
        pytest.param(FIELDS, Attempt(resumed=True, optional_fields=True), Simplify(False, False), id="unsupported-field-after-downgrade"),
        pytest.param(FIELDS, LIST, Resume(), id="unsupported-field-that-is-needed"),
    ],
)
def test_a_refusal_depends_on_what_was_asked_for(error: ApiError, attempt: Attempt, disposition: Disposition) -> None:
    assert disposition_of(error, attempt) == disposition
