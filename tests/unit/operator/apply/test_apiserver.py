"""The `kubernetes` package with rotated certificates and tokens, against a real HTTPS server."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from tests.unit.client.certificates import Pair, authority, signed
from tests.unit.client.httpsserver import HttpsServer, kubeconfig, pod, trust

from proxyconfig_operator.apply.apiserver import Kube
from proxyconfig_operator.apply.workqueue import RetryError


async def test_a_rotated_authority_and_token_are_followed(tmp_path: Path) -> None:
    old, new, server = authority(tmp_path, "old-ca"), authority(tmp_path, "new-ca"), HttpsServer()
    async with contextlib.AsyncExitStack() as stack:
        async with server.serving(signed(old, "first")) as port:
            kube = Kube(pod(tmp_path, old, port), "here")
            stack.push_async_callback(kube.close)
            assert await kube.list_configs() == []
            server.rejected = ("first",)
            with pytest.raises(RetryError):
                await kube.list_configs()
            (tmp_path / "token").write_text("second")
            assert await kube.list_configs() == []
        async with server.serving(signed(new, "second")):
            with pytest.raises(RetryError, match="CERTIFICATE_VERIFY_FAILED"):
                await kube.list_configs()
            trust(tmp_path, old, new)
            assert await kube.list_configs() == []


async def test_a_renewed_client_certificate_is_used_after_the_old_one_is_rejected(tmp_path: Path) -> None:
    ca, server = authority(tmp_path, "ca"), HttpsServer()
    expired, renewed = signed(ca, "expired"), signed(ca, "renewed")
    async with server.serving(signed(ca, "server"), clients=ca) as port:
        use(tmp_path, expired)
        config = kubeconfig(tmp_path, port, ca, **{"client-certificate": "client.crt", "client-key": "client.key"})
        kube = Kube(config, "here")
        assert await kube.list_configs() == []
        use(tmp_path, renewed)
        server.rejected = ("expired",)
        with pytest.raises(RetryError):
            await kube.list_configs()
        assert await kube.list_configs() == []
        await kube.close()


def use(folder: Path, pair: Pair) -> None:
    (folder / "client.crt").write_bytes(pair.certificate.read_bytes())
    (folder / "client.key").write_bytes(pair.key.read_bytes())


async def test_a_token_that_cannot_be_read_is_tried_again(tmp_path: Path) -> None:
    ca = authority(tmp_path, "ca")
    async with HttpsServer().serving(signed(ca, "server")) as port:
        kube = Kube(pod(tmp_path, ca, port), "here")
        (tmp_path / "token").unlink()
        with pytest.raises(RetryError, match="token"):
            await kube.list_configs()
        await kube.close()
