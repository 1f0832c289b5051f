"""What can go wrong between us and an API server.

ClientError
├── ConfigurationError   a kubeconfig or service account that cannot be used: one sentence with the fix; permanent
├── ApiError             the server answered with an error status
└── StreamError          a list or watch that broke off or cannot be understood: drop it, resume later
"""

from __future__ import annotations


class ClientError(Exception):
    """Root of this package's errors; OSError and TimeoutError of connections pass through as they are."""


class ConfigurationError(ClientError):
    pass


class ApiError(ClientError):
    """An answer with a status of 400 or more; `message` is the server's own sentence."""

    def __init__(self, status: int, reason: str, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{message or reason or 'no message'} (HTTP {status})")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s


class StreamError(ClientError):
    pass


def is_missing(error: BaseException) -> bool:
    return isinstance(error, ApiError) and error.status == 404


def is_expired(error: BaseException) -> bool:
    """Whether a resourceVersion or continue token is too old to go on from: list again."""
    return isinstance(error, ApiError) and error.status == 410


def is_conflict(error: BaseException) -> bool:
    return isinstance(error, ApiError) and error.status == 409
