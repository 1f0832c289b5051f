"""One run of a kernel as an ordinary process: start it, print what it prints, return the exit status of what ran on it.

It sees the machine's files (`init` says how) and nothing of its network, processes or settings. It ends with its task, at the latest
after a bounded time, and also when the run that started it is killed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.errors import ClusterError
from tests.support.polling import PATIENCE

ROOT = Path(__file__).parents[2]
BOUND_S = 900
MEMORY = "4G"
_INIT = Path(__file__).with_name("init")
# Its memory is a file on a separate tmpfs: /dev/shm is small in many containers. In a process namespace that ends with its first process,
# all of its processes end together.
_ALONE = ("setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child")
_WITH_MEMORY = f'mount -t tmpfs -o size={MEMORY} memory /dev/shm && exec "$@"'


@dataclass(frozen=True, slots=True)
class Task:
    """What runs on a kernel: a command in the repository's root, with parameters for the kernel's command line.

    `lines`: serial lines of the kernel (`tty1` …), each with the descriptor that is behind it.
    """

    command: Sequence[str]
    parameters: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)


@contextlib.contextmanager
def shared() -> Iterator[Path]:
    """A folder for one run: what a task writes there, and nothing else, reaches the machine."""
    with tempfile.TemporaryDirectory(prefix="proxyconfig-kernel-") as folder:
        yield Path(folder)


def run(program: Path, task: Task, folder: Path, bound_s: float = BOUND_S) -> int:
    """Boot, run the task, power off; return its exit status. `folder` is one of `shared`.

    Raises ClusterError if the kernel ended, or was ended after `bound_s` seconds, before the task did.
    """
    (folder / "command").write_text(_script(task))
    (folder / "seed").write_bytes(os.urandom(32))
    _boot(program, task, folder, bound_s)
    status = folder / "status"
    if not status.exists():
        raise ClusterError(f"the kernel {program.name} ended before its task, or was ended after {bound_s:.0f} s; its console is above")
    return int(status.read_text())


def _script(task: Task) -> str:
    environment = {"COLUMNS": "120", "PY_COLORS": "0", "PYTHONDONTWRITEBYTECODE": "1", PATIENCE: "4", **task.environment}
    settings = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment.items())
    return f"{settings}\ncd {shlex.quote(str(ROOT))}\n{shlex.join(task.command)}\n"


def _boot(program: Path, task: Task, folder: Path, bound_s: float) -> None:
    kernel = [
        str(program),
        "root=machine",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        f"init={_INIT}",
        f"shared={folder}",
        f"mem={MEMORY}",
        "quiet",
        "dummy.numdummies=0",  # no device but those that a test makes
    ]
    kernel += ["panic=-1", "con=null", "con0=null,fd:1", f"uml_dir={folder}", "umid=machine", *task.parameters]
    kernel += [f"con{name.removeprefix('tty')}=fd:{descriptor}" for name, descriptor in task.lines.items()]
    command = [*_ALONE, "sh", "-c", _WITH_MEMORY, "sh", *kernel]
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, **pipes, pass_fds=tuple(task.lines.values())) as process:
        assert process.stdout is not None
        bound = threading.Timer(bound_s, process.kill)
        bound.start()
        try:
            for line in process.stdout:
                sys.stdout.write(line.decode(errors="replace").replace("\r", ""))
                sys.stdout.flush()
        finally:
            bound.cancel()
            process.kill()
