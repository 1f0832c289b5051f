"""Programs that the fork server starts answer, and end with the process that asked for them."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from tests.support.netns import peers
from tests.support.netns.namespace import Namespace
from tests.support.netns.programs import ROOT


def test_two_programs_read_and_write_each_its_own() -> None:
    with peers.probing(None) as one, peers.probing(None) as other:
        one.send([])
        assert other.ask([]) == []
        assert one.receive() == []


def test_one_that_has_ended_has_no_answer() -> None:
    with peers.probing(None) as client, pytest.raises(AssertionError, match="the client has ended"):
        client.ask([{"nothing": "known"}])


def test_one_without_a_namespace_does_not_start() -> None:
    gone = Namespace("gone", "gone")
    with pytest.raises(AssertionError, match="the server web did not start"), peers.echoing(gone, "web", ["127.0.0.1"], [80]):
        pass


def test_server_and_programs_end_when_the_process_that_asked_is_killed() -> None:
    code = "import os, signal; from tests.support.netns.programs import Program; made = [Program('probe', (), None) for _ in range(2)]; "
    code += "os.kill(os.getpid(), signal.SIGKILL)"
    # All have its standard error: it is at its end when the last of them has ended.
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, b"")
