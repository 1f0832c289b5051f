"""The client on a real API server: etcd restored from a backup, a rotated certificate authority, and what the
command line says of a cluster that it cannot use."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
import yaml
from click.testing import CliRunner
from tests.cluster.certificates import authority
from tests.cluster.controlplane import SERVER_NAMES, ControlPlane, controlplane
from tests.support.polling import soon

from proxyconfig_cli.app.main import main
from proxyconfig_client.apiserver.client import ApiClient, path_of
from proxyconfig_client.connection.config import ClientConfig, from_kubeconfig, in_cluster
from proxyconfig_client.watch.objects import Cache, Metadata
from proxyconfig_client.watch.reflector import Reflector

pytestmark = pytest.mark.apiserver

CONFIG_MAPS = path_of("v1", "configmaps", namespace="default")
SLOW = 180
"""Seconds for an API server that starts on a busy machine."""


class ConfigMap(msgspec.Struct, frozen=True):
    metadata: Metadata
    data: dict[str, str] = {}


class Followed:
    def __init__(self, client: ApiClient, *, streams_lists: bool) -> None:
        decode = msgspec.json.Decoder(ConfigMap, strict=False).decode
        self.cache = Cache[ConfigMap]()
        self.reflector = Reflector(client, CONFIG_MAPS, decode, self.cache, label_selector="test", streams_lists=streams_lists)

    def values(self) -> dict[str, str]:
        return {key.name: item.data["value"] for key, item in self.cache.items.items()}


@pytest.fixture(scope="module")
def made() -> Iterator[ControlPlane]:
    with controlplane() as plane:
        yield plane


@pytest.fixture
def own(made: ControlPlane) -> ControlPlane:
    """A control plane that a test may stop. The last test leaves it with a certificate that nobody here trusts."""
    made.kubectl("delete", "configmap", "--selector=test", "--namespace=default")
    return made


@contextlib.asynccontextmanager
async def following(config: ClientConfig) -> AsyncIterator[list[Followed]]:
    """Both ways to list."""
    async with ApiClient(config, user_agent="test") as client:
        found = [Followed(client, streams_lists=each) for each in (True, False)]
        tasks = [asyncio.create_task(each.reflector.run()) for each in found]
        try:
            yield found
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def write(plane: ControlPlane, **values: str) -> None:
    for name, value in values.items():
        metadata = {"name": name, "namespace": "default", "labels": {"test": ""}}
        plane.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"value": value}})


def exchange(plane: ControlPlane, source: Path, target: Path) -> None:
    """Copy etcd's data while neither etcd nor the API server runs, as a backup or a restore."""
    plane.stop_server()
    plane.stop_etcd()
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    plane.start_etcd()
    plane.start_server()


def test_a_cluster_without_the_operator_and_credentials_of_nobody_are_one_sentence_each(own: ControlPlane, tmp_path: Path) -> None:
    file = tmp_path / "proxyconfig.yaml"
    file.write_text("{apiVersion: proxyconfig.dev/v1alpha1, kind: ProxyConfig, metadata: {name: default}, spec: {mode: nftables}}")
    document = yaml.safe_load(own.kubeconfig.read_text())
    document["users"] = [{"name": each["name"], "user": {"token": "of nobody"}} for each in document["users"]]
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(document))
    for words in (("plan", "-f", str(file)), ("takeover", "start", "-f", str(file)), ("rollout", "pause"), ("takeover", "status")):
        without = CliRunner().invoke(main, [*words, "--kubeconfig", str(own.kubeconfig)])
        assert without.stderr.splitlines()[-1] == "Error: the cluster has no ProxyConfigs: install the operator first (make deploy, README)"
        refused = CliRunner().invoke(main, [*words, "--kubeconfig", str(tmp_path / "kubeconfig")])
        assert "refuses the credentials: Unauthorized (HTTP 401); log in again, or choose another --context" in refused.stderr


async def test_after_a_restore_of_etcd_nothing_that_never_was_is_left(own: ControlPlane, tmp_path: Path) -> None:
    write(own, kept="1", deleted="1")
    exchange(own, own.etcd_folder, tmp_path / "backup")
    async with following(from_kubeconfig(own.kubeconfig)) as followed:
        await soon(lambda: all(each.values() == {"kept": "1", "deleted": "1"} for each in followed), SLOW)
        await asyncio.to_thread(write, own, kept="2", born="1")
        await asyncio.to_thread(own.kubectl, "delete", "configmap", "deleted")
        await soon(lambda: all(each.values() == {"kept": "2", "born": "1"} for each in followed), SLOW)
        await asyncio.to_thread(exchange, own, tmp_path / "backup", own.etcd_folder)
        await soon(lambda: all(each.values() == {"kept": "1", "deleted": "1"} for each in followed), SLOW)
        await asyncio.to_thread(write, own, later="1")
        await soon(lambda: all(each.values() == {"kept": "1", "deleted": "1", "later": "1"} for each in followed), SLOW)


async def test_a_pod_follows_a_rotated_certificate_authority(own: ControlPlane, tmp_path: Path) -> None:
    account, new = tmp_path / "account", authority(tmp_path / "new-ca")
    account.mkdir()
    shutil.copy(own.authority.certificate, account / "ca.crt")
    own.kubectl("create", "serviceaccount", "reader")
    own.kubectl("create", "clusterrolebinding", "reader", "--clusterrole=cluster-admin", "--serviceaccount=default:reader")
    (account / "token").write_text(own.token_for("default", "reader"))
    host, port = own.server.removeprefix("https://").rsplit(":", 1)
    config = in_cluster({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}, account)
    write(own, kept="1")
    async with following(config) as followed:
        await soon(lambda: all(each.values() == {"kept": "1"} for each in followed), SLOW)
        serving = new.server("kube-apiserver", "127.0.0.1", own.host, *SERVER_NAMES)
        own.server_flags = (f"--tls-cert-file={serving.certificate}", f"--tls-private-key-file={serving.key}")
        await asyncio.to_thread(own.stop_server)
        own._start_server()
        await soon(lambda: all("CERTIFICATE_VERIFY_FAILED" in each.reflector.state.error for each in followed), SLOW)
        (account / "next").write_bytes(own.authority.certificate.read_bytes() + new.certificate.read_bytes())
        (account / "next").rename(account / "ca.crt")
        await soon(lambda: all(each.reflector.state.connected for each in followed), SLOW)
