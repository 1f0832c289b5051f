"""What a failed list or watch means for the next attempt. Pure."""

from __future__ import annotations

from msgspec import Struct

from proxyconfig_client.connection.errors import ApiError, RestoredError, is_expired, is_future, is_missing


class Attempt(Struct, frozen=True):
    """What was asked for when a request failed."""

    resumed: bool = False
    """A watch from a known version; else a list, streamed or not."""
    streams_lists: bool = False
    optional_fields: bool = False
    """With the field selector that a server may not support."""
    optional: bool = False
    """The server need not have the resource."""


class Resume(Struct, frozen=True):
    """Ask for the same again after a back-off, and after what the server asks for.

    `verify`: the connection was lost, and the server may have been restored from a backup meanwhile."""

    retry_after_s: float = 0.0
    verify: bool = False


class Relist(Struct, frozen=True):
    """The known version is of no use: list anew, after a back-off."""


class Simplify(Struct, frozen=True):
    """The server does not support the request: list anew at once, without streamed lists or without the optional field selector."""

    streams_lists: bool
    optional_fields: bool


class Absent(Struct, frozen=True):
    """The server does not have the resource, and need not."""


Disposition = Resume | Relist | Simplify | Absent


def disposition_of(error: Exception, attempt: Attempt) -> Disposition:
    """Decide after `error`, one of ClientError, OSError and TimeoutError."""
    if not isinstance(error, ApiError):
        return Relist() if isinstance(error, RestoredError) else Resume(verify=True)
    if attempt.optional and is_missing(error):
        return Absent()
    if is_expired(error) or is_future(error):
        return Relist()
    if error.status in (400, 422):
        return _refused(error, attempt)
    return Resume(retry_after_s=error.retry_after_s)


def _refused(error: ApiError, attempt: Attempt) -> Disposition:
    """The server refuses a parameter: a selector that it does not know, a version that is none, or WatchList (older, or switched off)."""
    if attempt.optional_fields and "field label not supported" in error.message:
        return Simplify(attempt.streams_lists, optional_fields=False)
    if attempt.resumed:
        return Relist()
    if attempt.streams_lists:
        return Simplify(streams_lists=False, optional_fields=attempt.optional_fields)
    return Resume(retry_after_s=error.retry_after_s)
