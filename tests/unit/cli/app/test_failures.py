"""An API server that cannot be reached, or is none: every command ends with one sentence that names it, the cause and what to do."""

from __future__ import annotations

import asyncio
import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result
from tests.unit.cli.apiserver import serving
from tests.unit.cli.page import SPEC, cluster, proxyconfig
from tests.unit.client.certificates import authority, signed
from tests.unit.client.httpsserver import HttpsServer

from proxyconfig_cli.app.main import main
from proxyconfig_cli.cluster.failures import Unusable, explained
from proxyconfig_client.connection.config import ClientConfig

COMMANDS = [
    "import",
    "preflight",
    "plan -f FILE",
    "takeover start -f FILE",
    "takeover status",
    "takeover undo",
    "rollout status",
    "rollout history",
    "rollout pause",
    "rollout resume",
    "rollout retry",
    "rollout undo",
]
NEED_PROXYCONFIGS = [words for words in COMMANDS if words not in ("import", "preflight")]


def kubeconfig(folder: Path, server: str, **cluster: str) -> Path:
    document = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c"}}],
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(document))
    return folder / "kubeconfig"


def run(words: str, path: Path) -> Result:
    file = path.with_name("proxyconfig.yaml")
    file.write_text(yaml.safe_dump(proxyconfig(SPEC)))
    return CliRunner().invoke(main, [*words.replace("FILE", str(file)).split(), "--kubeconfig", str(path)])


def sentence(result: Result) -> str:
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.output
    return result.stderr.removeprefix("Error: ").rstrip()


@contextmanager
def answering(status: int, content_type: str, body: bytes, **headers: str) -> Iterator[str]:
    """A server that answers everything so."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_PATCH(self) -> None:
            self._answer()

        def do_PUT(self) -> None:
            self._answer()

        def do_DELETE(self) -> None:
            self._answer()

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in {"Content-Type": content_type, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("words", COMMANDS)
def test_a_server_that_refuses_connections_is_named_with_its_context_and_file(words: str, tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "http://127.0.0.1:1")
    assert sentence(run(words, path)) == (
        f"the API server http://127.0.0.1:1 (context here of {path}) cannot be reached: connection refused; "
        f"check the address, or choose another --context"
    )


def test_a_name_that_has_no_address_is_the_resolvers_words(tmp_path: Path) -> None:
    words = sentence(run("import", kubeconfig(tmp_path, "https://nowhere.invalid:6443")))
    assert words.startswith("the API server https://nowhere.invalid:6443 (context here of ")
    assert "Errno" not in words
    assert words.endswith("; check the address, or choose another --context")


def test_a_name_with_two_addresses_that_refuse_has_one_cause() -> None:
    both = "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), [Errno 111] Connect call failed ('127.0.0.1', 1)"
    with pytest.raises(Unusable, match=r"cannot be reached: connection refused; "), explained(ClientConfig("http://localhost:1")):
        raise OSError(both)


def test_a_server_that_does_not_answer_in_time_is_one_sentence() -> None:
    with pytest.raises(Unusable, match=r"cannot be reached: no answer within 30 s; check the address"), explained(ClientConfig("http://x")):
        raise TimeoutError


def test_a_reader_of_standard_output_that_has_gone_is_no_failure_of_the_server() -> None:
    with pytest.raises(BrokenPipeError), explained(ClientConfig("http://x")):
        raise BrokenPipeError


def test_a_server_that_closes_without_an_answer_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepted = threading.Thread(target=_accept_and_close, args=(listening,))
        accepted.start()
        words = sentence(run("rollout status", kubeconfig(tmp_path, f"http://127.0.0.1:{listening.getsockname()[1]}")))
        accepted.join()
    assert " cannot be reached: " in words
    assert words.endswith("; check the address, or choose another --context")


def _accept_and_close(listening: socket.socket) -> None:
    listening.accept()[0].close()


@pytest.mark.parametrize(
    ("host", "trusted", "words"),
    [
        ("127.0.0.1", "other", "unable to get local issuer certificate; "),
        ("127.0.0.1", "other", "certificate-authority, server and tls-server-name of its cluster in the kubeconfig"),
        ("192.0.2.1", "ca", "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ],
)
async def test_a_server_that_is_not_trusted_has_the_reason_and_what_to_look_at(tmp_path: Path, host: str, trusted: str, words: str) -> None:
    authorities = {name: authority(tmp_path, name) for name in ("ca", "other")}
    async with HttpsServer().serving(signed(authorities["ca"], "server", host=host)) as port:
        ca = str(authorities[trusted].certificate)
        path = kubeconfig(tmp_path, f"https://127.0.0.1:{port}", **{"certificate-authority": ca})
        found = sentence(await asyncio.to_thread(run, "import", path))
    assert f"(context here of {path}) is not trusted: " in found
    assert words in found


def test_a_server_without_tls_at_an_https_address_is_one_sentence(tmp_path: Path) -> None:
    with answering(400, "text/plain", b"no") as server:
        words = sentence(run("import", kubeconfig(tmp_path, server.replace("http:", "https:"))))
    assert " cannot be reached by TLS: " in words
    assert "_ssl.c" not in words


def test_credentials_that_are_refused_say_what_to_do(tmp_path: Path) -> None:
    body = b'{"kind": "Status", "reason": "Unauthorized", "message": "Unauthorized", "code": 401}'
    with answering(401, "application/json", body) as server:
        path = kubeconfig(tmp_path, server)
        words = sentence(run("rollout pause", path))
    assert words == (
        f"the API server {server} (context here of {path}) refuses the credentials: Unauthorized (HTTP 401); "
        f"log in again, or choose another --context"
    )


@pytest.mark.parametrize("words", COMMANDS)
@pytest.mark.parametrize(("status", "headers"), [(200, {}), (302, {"Location": "https://login"}), (502, {})])
def test_a_page_for_people_is_no_answer_of_an_api_server(tmp_path: Path, words: str, status: int, headers: dict[str, str]) -> None:
    with answering(status, "text/html", b"<html>Please log in</html>", **headers) as server:
        path = kubeconfig(tmp_path, server)
        found = sentence(run(words, path))
    assert found.startswith(f"the API server {server} (context here of {path}) does not answer as one: ")
    assert found.endswith("; check the address, or choose another --context")


def test_what_another_version_wrote_is_named_with_the_fix(tmp_path: Path) -> None:
    held = cluster()
    held.objects["/apis/proxyconfig.dev/v1alpha1/proxyconfigs/default"]["spec"]["mode"] = "teleport"
    held.collections["/api/v1/services"][0]["spec"]["ports"] = 5
    fix = "install the kubectl-proxyconfig of its operator's version"
    with serving(held, tmp_path) as path:
        assert sentence(run("rollout status", path)) == (
            "the ProxyConfig default in the cluster is not understood "
            f"(spec.mode: must be one of nftables, iptables, ipvs, userspace, auto, not 'teleport'): {fix}"
        )
        assert sentence(run("preflight", path)) == (
            f"an object of /api/v1/services in the cluster is not understood (spec.ports: must be a list, not a whole number): {fix}"
        )


@pytest.mark.parametrize("words", NEED_PROXYCONFIGS)
def test_a_cluster_without_proxyconfigs_lacks_the_operator(tmp_path: Path, words: str) -> None:
    held = cluster()
    held.status = lambda path: 404 if path.startswith("/apis/proxyconfig.dev/") else 200
    with serving(held, tmp_path) as path:
        result = run(words, path)
    assert sentence(result) == "the cluster has no ProxyConfigs: install the operator first (make deploy, README)"


@pytest.mark.parametrize("words", [words for words in NEED_PROXYCONFIGS if "FILE" not in words])
def test_a_proxyconfig_that_is_not_there_is_named(tmp_path: Path, words: str) -> None:
    with serving(cluster(), tmp_path) as path:
        result = run(f"{words} nowhere", path)
    assert sentence(result) == "there is no ProxyConfig nowhere: kubectl get kpx lists them"
