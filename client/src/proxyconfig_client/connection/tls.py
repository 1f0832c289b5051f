"""A client's side of TLS whose certificate authority and client certificate follow their files.

Authorities and certificates are rotated while a process runs: kubelet and cert-manager replace the files, and the API server comes back
with a certificate of the new authority. client-go reads them again, too (transport.go, cert_rotation.go).
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from typing import Any

import structlog
from msgspec import Struct

from proxyconfig_client.connection.errors import ConfigurationError

_log = structlog.get_logger("tls")


class TlsMaterial(Struct, frozen=True):
    """PEM: whom to trust (empty: the system's authorities), and a client certificate with its key (empty: none)."""

    authority: bytes = b""
    certificate: bytes = b""
    key: bytes = b""


class RotatingContext(ssl.SSLContext):
    """An SSLContext that makes each new connection with the material of that moment.

    It is an SSLContext so that asyncio, aiohttp and urllib3 take it as it is. All of them make connections by `wrap_bio` or `wrap_socket`.
    """

    def __new__(cls, *_: Any, **__: Any) -> RotatingContext:
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def __init__(self, read: Callable[[], TlsMaterial], *, verify: bool = True, server_name: str | None = None) -> None:
        """`read` raises ConfigurationError; here as well, if there is no usable material from the start.

        `server_name`: the name that the server's certificate must have, if not the host's."""
        self._read, self._verify, self._server_name = read, verify, server_name
        if not verify:
            self.check_hostname, self.verify_mode = False, ssl.CERT_NONE
        material = read()
        self._current = material, _context(material, verify=verify)
        self._problem = ""

    def newest(self) -> ssl.SSLContext:
        """The context of the present material; the same object until it changes.

        Material that cannot be used is logged, and the last good one stays: two files are not replaced in the same moment."""
        try:
            material = self._read()
            if material != self._current[0]:
                self._current = material, _context(material, verify=self._verify)
                _log.info("certificates reloaded")
            self._problem = ""
        except ConfigurationError as error:
            if str(error) != self._problem:
                _log.warning("certificates not reloaded", error=str(error))
            self._problem = str(error)
        return self._current[1]

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return self.newest().wrap_bio(incoming, outgoing, server_side, _octets(self._server_name or server_hostname), session)

    def wrap_socket(  # noqa: PLR0917 - the signature of ssl
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        name = self._server_name or server_hostname
        return self.newest().wrap_socket(sock, server_side, do_handshake_on_connect, suppress_ragged_eofs, name, session)


def _octets(name: str | bytes | None) -> str | bytes | None:
    """A name as `ssl` takes it without the codec for other scripts (idna), which costs a process 0.3 MiB."""
    return name.encode() if isinstance(name, str) and name.isascii() else name


def _context(material: TlsMaterial, *, verify: bool) -> ssl.SSLContext:
    """Raises ConfigurationError."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if material.authority:
            context.load_verify_locations(cadata=material.authority.decode("ascii", errors="ignore"))  # comments may be in any language
        else:
            context.load_default_certs()
        if material.certificate or material.key:
            _load_identity(context, material.certificate, material.key)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(f"certificate or key not usable: {error}") from error
    return context


def _load_identity(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """OpenSSL takes files only; these have no name that another process could open, and never reach a disk."""
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(certificate + b"\n" + key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
