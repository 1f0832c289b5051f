"""Credentials from a program: a real one, which counts how often it runs."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from proxyconfig_client.connection.errors import ConfigurationError
from proxyconfig_client.connection.exec_plugin import ExecPlugin

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Prints what the file `answer` beside it says, and adds a line to `runs`."""
    path = tmp_path / "get-token"
    path.write_text(
        f'#!/bin/sh\necho "$1 $CLUSTER" >>{tmp_path}/runs\necho "$KUBERNETES_EXEC_INFO" >{tmp_path}/info\ncat {tmp_path}/answer\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def answer(program: Path, **status: Any) -> None:
    (program.parent / "answer").write_text(json.dumps({"kind": "ExecCredential", "status": status}))


def runs(program: Path) -> list[str]:
    return (program.parent / "runs").read_text().splitlines()


def test_the_program_gets_its_arguments_and_its_environment(program: Path) -> None:
    answer(program, token="t")
    section = {"command": str(program), "args": ["--now"], "env": [{"name": "CLUSTER", "value": "blue"}], "apiVersion": "a/v1"}
    assert ExecPlugin("kubeconfig", section).credential().token == "t"
    assert runs(program) == ["--now blue"]
    assert json.loads((program.parent / "info").read_text())["apiVersion"] == "a/v1"


def test_the_program_runs_again_when_its_token_expires(program: Path) -> None:
    now = [NOON]
    plugin = ExecPlugin("kubeconfig", {"command": str(program)}, now=lambda: now[0])
    answer(program, token="first", expirationTimestamp=(NOON + timedelta(minutes=14)).isoformat())
    assert [plugin.credential().token for _ in range(3)] == ["first"] * 3
    answer(program, token="second")
    now[0] += timedelta(minutes=14)
    assert [plugin.credential().token for _ in range(3)] == ["second"] * 3
    assert len(runs(program)) == 2


def test_a_program_can_give_a_certificate(program: Path) -> None:
    answer(program, clientCertificateData="CERTIFICATE", clientKeyData="KEY")
    credential = ExecPlugin("kubeconfig", {"command": str(program)}).credential()
    assert (credential.certificate, credential.key) == (b"CERTIFICATE", b"KEY")


def test_an_answer_that_is_no_credential_is_one_sentence(program: Path) -> None:
    (program.parent / "answer").write_text("please log in")
    with pytest.raises(ConfigurationError, match="get-token, which gives the kubeconfig's credentials, failed"):
        ExecPlugin("kubeconfig", {"command": str(program)}).credential()


def test_the_hint_of_the_kubeconfig_is_shown_where_the_program_is_not_there() -> None:
    section = {"command": "/nowhere/aws", "installHint": "install the AWS CLI"}
    with pytest.raises(ConfigurationError, match=r"/nowhere/aws.* is not there: install the AWS CLI"):
        ExecPlugin("kubeconfig", section).credential()
