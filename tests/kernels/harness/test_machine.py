"""The kernels themselves: each is what it says, keeps to itself, and ends; on the machine's own kernel."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.cluster.errors import ClusterError
from tests.kernels import build, machine
from tests.kernels.machine import ROOT, Task
from tests.kernels.variants import KERNELS, Kernel
from tests.support.polling import eventually

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def programs() -> Mapping[str, Path]:
    return build.ensure()


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: str(kernel.name))
def test_each_kernel_is_the_one_that_it_is_named_after(
    programs: Mapping[str, Path], kernel: Kernel, capfd: pytest.CaptureFixture[str]
) -> None:
    with machine.shared() as folder:
        assert machine.run(programs[kernel.name], Task(("uname", "-r")), folder) == 0
    released, *_ = capfd.readouterr().out.splitlines()
    assert released.endswith(f"-{kernel.name}")


def test_what_a_task_writes_stays_with_the_kernel_except_in_the_shared_folder(programs: Mapping[str, Path]) -> None:
    with machine.shared() as folder:
        inside, outside = folder / "kept", folder.with_name(f"{folder.name}-lost")
        status = machine.run(programs["complete"], Task(("sh", "-c", f"echo kept > {inside} && echo lost > {outside} && exit 7")), folder)
        assert (status, inside.read_text(), outside.exists()) == (7, "kept\n", False)


def test_a_kernel_has_no_network_but_its_own(programs: Mapping[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    with machine.shared() as folder:
        machine.run(programs["complete"], Task(("ip", "-o", "link")), folder)
    assert [line.split(":")[1].strip() for line in capfd.readouterr().out.splitlines() if "link/" in line] == ["lo"]


def test_a_task_that_takes_too_long_is_ended_with_its_kernel(programs: Mapping[str, Path]) -> None:
    with machine.shared() as folder:
        with pytest.raises(ClusterError, match="ended after 3 s"):
            machine.run(programs["complete"], Task(("sleep", "1000")), folder, bound_s=3)
        eventually(lambda: not _processes_of(folder), within_s=60)


def test_no_process_is_left_when_the_run_is_killed(programs: Mapping[str, Path]) -> None:
    with machine.shared() as folder:
        code = f"from pathlib import Path; from tests.kernels import machine; machine.run(Path({str(programs['complete'])!r}), "
        code += f"machine.Task(('sh', '-c', 'touch {folder / 'up'}; sleep 1000')), Path({str(folder)!r}))"
        with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL) as run:
            eventually((folder / "up").exists, within_s=100)
            assert _processes_of(folder)
            run.send_signal(signal.SIGKILL)
        eventually(lambda: not _processes_of(folder), within_s=60)


def _processes_of(folder: Path) -> list[str]:
    """The processes of the machine that have the folder on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if f"shared={folder}" in words:
            found.append(path.parent.name)
    return found
