"""A certificate authority of the cluster's own, made with the openssl program: servers, users, kubelets.

Every identity is a client certificate: the common name is the user, the organisations are its groups.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.command import run

DAYS = "30"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """The cluster's certificate authority in a folder."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """Return the file that everybody trusts."""
        return self.folder / "ca.crt"

    @property
    def signing_key(self) -> Path:
        """Return the key that signs service account tokens."""
        return self.folder / "service-accounts.key"

    @property
    def verifying_key(self) -> Path:
        """Return the public half of the signing key: the API server does not find it in a PKCS #8 file."""
        return self.folder / "service-accounts.pub"

    def client(self, user: str, *groups: str) -> Pair:
        """Return the certificate of a user in these groups; make it if there is none yet."""
        subject = "".join(f"/O={_escaped(group)}" for group in groups) + f"/CN={_escaped(user)}"
        return self._issue(f"client-{user}".replace(":", "-").replace("/", "-"), subject, "clientAuth", ())

    def server(self, name: str, *names: str) -> Pair:
        """Return the certificate of a server known by these DNS names and addresses."""
        return self._issue(f"server-{name}", f"/CN={_escaped(name)}", "serverAuth", names)

    def _issue(self, file: str, subject: str, usage: str, names: Iterable[str]) -> Pair:
        pair = Pair(self.folder / f"{file}.crt", self.folder / f"{file}.key")
        if pair.certificate.exists():
            return pair
        alternatives = ",".join(f"{'IP' if _is_address(name) else 'DNS'}:{name}" for name in names)
        extensions = ["basicConstraints=critical,CA:FALSE", f"extendedKeyUsage={usage}", "authorityKeyIdentifier=keyid"]
        extensions += [f"subjectAltName={alternatives}"] if alternatives else []
        signed_by = ("-CA", self.certificate, "-CAkey", self.folder / "ca.key")
        _request(self.folder, pair, subject, extensions, *signed_by)
        return pair


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def authority(folder: Path) -> Authority:
    """Return the authority in a folder; make it if the folder has none."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Authority(folder)
    if not made.certificate.exists():
        (folder / "openssl.cnf").write_text("[req]\ndistinguished_name = none\n[none]\n")  # nothing of the machine's own configuration
        extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
        _request(folder, Pair(made.certificate, folder / "ca.key"), "/CN=local-cluster", extensions)
        run("openssl", "genpkey", "-algorithm", "EC", *_NEW_KEY[2:], "-out", made.signing_key)
        run("openssl", "pkey", "-in", made.signing_key, "-pubout", "-out", made.verifying_key)
    return made


def _request(folder: Path, pair: Pair, subject: str, extensions: list[str], *signed_by: str | Path) -> None:
    added = [word for extension in ("subjectKeyIdentifier=hash", *extensions) for word in ("-addext", extension)]
    request = ("openssl", "req", "-x509", "-config", folder / "openssl.cnf", "-days", DAYS, "-nodes", *_NEW_KEY)
    unfinished = pair.certificate.with_suffix(".unfinished")
    run(*request, "-keyout", pair.key, "-out", unfinished, "-subj", subject, *signed_by, *added, advice="OpenSSL 3 is needed.")
    unfinished.rename(pair.certificate)


def _is_address(name: str) -> bool:
    return ":" in name or name.replace(".", "").isdigit()


def _escaped(name: str) -> str:
    return name.replace("/", "\\/")
