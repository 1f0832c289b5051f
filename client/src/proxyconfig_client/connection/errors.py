"""Errors of requests to an API server.

ClientError
├── ConfigurationError   a kubeconfig or service account that cannot be used: one sentence with the fix; permanent
├── ApiError             a response with an error status
├── StreamError          a list or watch that broke off or cannot be understood: drop it, resume later
└── RestoredError        the server is at an earlier version than before: list anew
"""

from __future__ import annotations

import ssl


class ClientError(Exception):
    """Root of this package's errors; OSError and TimeoutError of connections pass through as they are."""


class ConfigurationError(ClientError):
    pass


class ApiError(ClientError):
    """A response with a status of 300 or more; `message` is the server's own sentence, empty where it is no API server that answers.

    `name` is that of the object which the error is about; empty where the server knows no such resource."""

    def __init__(self, status: int, reason: str, message: str, retry_after_s: float = 0.0, name: str = "") -> None:
        super().__init__(f"{message or reason or 'no message'} (HTTP {status})")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s
        self.name = name


class StreamError(ClientError):
    pass


class RestoredError(ClientError):
    """A resourceVersion below a known one: etcd was restored from a backup, and what is known may never have happened."""


def is_missing(error: BaseException) -> bool:
    return isinstance(error, ApiError) and error.status == 404


def is_unknown(error: BaseException) -> bool:
    """Whether the server has no such resource, rather than no such object of it."""
    return isinstance(error, ApiError) and error.status == 404 and not error.name


def is_expired(error: BaseException) -> bool:
    """Whether a resourceVersion or continue token is too old to go on from: list again."""
    return isinstance(error, ApiError) and error.status == 410


def is_conflict(error: BaseException) -> bool:
    return isinstance(error, ApiError) and error.status == 409


def is_future(error: BaseException) -> bool:
    """Whether a resourceVersion is newer than anything that the server has: 504 "Too large resource version"."""
    return isinstance(error, ApiError) and error.status == 504 and "Too large resource version" in error.message


def is_outage(error: BaseException) -> bool:
    """Whether the same request may succeed later: the network or the server fails, or the server has too much to do."""
    if isinstance(error, ApiError):
        return error.status >= 500 or error.status == 429
    return isinstance(error, OSError | StreamError) and not is_distrust(error)


def is_distrust(error: BaseException) -> bool:
    """Whether TLS or our credentials fail, rather than the network or the request."""
    return isinstance(error, ssl.SSLError | ConfigurationError) or (isinstance(error, ApiError) and error.status == 401)
