"""What keeps a command from its API server: one sentence with the server, where its address is from, the cause and what to do."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
from collections.abc import Iterator

import msgspec

from proxyconfig_client.apiserver.client import REQUEST
from proxyconfig_client.connection.config import ClientConfig
from proxyconfig_client.connection.errors import ApiError, ClientError, StreamError

_CHOOSE = "or choose another --context"
_ADDRESS = f"check the address, {_CHOOSE}"
_ERRNO = re.compile(r"\[Errno (\d+)\]")


class Unusable(ClientError):  # noqa: N818 - the outcome, not a fault of ours
    """An API server that does not answer, or not as one."""


@contextlib.contextmanager
def explained(config: ClientConfig) -> Iterator[None]:
    """Around requests to the server of `config`. Raises Unusable for what is wrong with the connection; other errors pass."""
    try:
        yield
    except BrokenPipeError:  # the reader of standard output has gone
        raise
    except (OSError, ApiError, StreamError, msgspec.MsgspecError) as error:
        if words := _connecting(error) if isinstance(error, OSError) else _answering(error):
            raise Unusable(f"the API server {config.server} ({config.source}) {words}") from None
        raise


def _connecting(error: OSError) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            fix = "check certificate-authority, server and tls-server-name of its cluster in the kubeconfig, and the clock of this machine"
            return f"is not trusted: {error.verify_message}; {fix}"
        case ssl.SSLError():
            reason = (error.reason or str(error)).replace("_", " ").lower()
            return f"cannot be reached by TLS: {reason}; check that server is its https address, and the client certificate"
        case _:
            return f"cannot be reached: {cause_of(error)}; {_ADDRESS}"


def _answering(error: Exception) -> str:
    """Empty for an answer of the API server itself."""
    match error:
        case ApiError(status=401):
            return f"refuses the credentials: {error}; log in again, {_CHOOSE}"
        case ApiError(message=text) if text:
            return ""
        case _:
            return f"does not answer as one: {_lower(str(error))}; {_ADDRESS}"


def cause_of(error: OSError) -> str:
    """The kernel's words. asyncio puts an address into them, and those of several addresses (::1 and 127.0.0.1) together."""
    if isinstance(error, socket.gaierror):
        return _lower(error.strerror or str(error))
    if isinstance(error, TimeoutError):
        return str(error) or f"no answer within {REQUEST.total_s:g} s"
    numbers = dict.fromkeys(map(int, _ERRNO.findall(str(error))))
    return ", ".join(_lower(os.strerror(number)) for number in numbers) or str(error) or "the connection was closed"


def _lower(words: str) -> str:
    return words[:1].lower() + words[1:]
