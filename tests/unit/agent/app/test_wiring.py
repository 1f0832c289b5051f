from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proxyconfig_agent.__main__ import run
from proxyconfig_agent.app import instance_lock
from proxyconfig_agent.app.options import parse


def test_the_command_line_has_kube_proxys_ports() -> None:
    options = parse(["--node-name", "n"], {})
    assert (options.node, str(options.healthz), str(options.metrics)) == ("n", "0.0.0.0:10256", "127.0.0.1:10249")


def test_pages_can_be_switched_off() -> None:
    assert parse(["--healthz-bind-address", "", "--metrics-bind-address="], {}).healthz is None


def test_the_node_name_comes_from_the_environment_if_it_is_not_given() -> None:
    assert parse([], {"NODE_NAME": "of-the-pod"}).node == "of-the-pod"


def test_a_bad_address_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--metrics-bind-address", "everywhere"], {})
    assert "'everywhere' is not an address to listen on" in capsys.readouterr().err


def test_a_bad_kubeconfig_ends_the_agent_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = parse(["--kubeconfig", str(tmp_path / "none"), "--log-level", "error"], {})
    assert run(options) == 1
    assert (
        capsys.readouterr().err.strip() == f"proxyconfig-agent: cannot read the kubeconfig {tmp_path / 'none'}: No such file or directory"
    )


async def test_a_second_agent_waits_for_the_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(instance_lock, "NAME", f"\0test-{tmp_path}")
    monkeypatch.setattr(instance_lock, "RETRY_S", 0.01)
    first = await instance_lock.acquire()
    second = asyncio.create_task(instance_lock.acquire())
    done, _ = await asyncio.wait([second], timeout=0.1)
    assert not done
    assert instance_lock.try_acquire() is None
    first.close()
    async with asyncio.timeout(30):
        taken = await second
    with taken:
        assert instance_lock.try_acquire() is None
