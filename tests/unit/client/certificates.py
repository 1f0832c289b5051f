"""Certificate authorities, and certificates that they sign, made by openssl."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True, slots=True)
class Pair:
    """Files with a certificate and its key, in PEM."""

    certificate: Path
    key: Path


def authority(folder: Path, name: str) -> Pair:
    made = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    _openssl("req", "-x509", *_NEW_KEY, "-subj", f"/CN={name}", "-days", "1", "-keyout", made.key, "-out", made.certificate)
    return made


def signed(by: Pair, name: str, *, host: str = "127.0.0.1") -> Pair:
    """A certificate for `name`, for both sides of TLS."""
    made = Pair(by.certificate.with_name(f"{name}.crt"), by.certificate.with_name(f"{name}.key"))
    request, extensions = made.key.with_suffix(".csr"), made.key.with_suffix(".ext")
    extensions.write_text(f"subjectAltName=IP:{host}\n" if host[0].isdigit() else f"subjectAltName=DNS:{host}\n")
    _openssl("req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", made.key, "-out", request)
    signing = ("-CA", by.certificate, "-CAkey", by.key, "-CAcreateserial", "-days", "1", "-extfile", extensions)
    _openssl("x509", "-req", "-in", request, *signing, "-out", made.certificate)
    return made


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
