"""One network namespace: created with a unique name, entered by functions and processes, gone afterwards.

Names carry the pid of the process that made them, so that parallel runs do not meet and `sweep` can tell what a crashed run left behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

PREFIX = "pxt"
RUN = Path("/run/netns")
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
_serial = itertools.count()

P = ParamSpec("P")
T = TypeVar("T")


class CommandError(AssertionError):
    """A command of the test's own set-up failed; the message has the command and its last words."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """A network namespace by name, or by the absolute path of its file. `label` is the part that people read."""

    name: str
    label: str

    @property
    def path(self) -> Path:
        return RUN / self.name

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` in a new thread inside the namespace, and return what it returns.

        Sockets that it opens stay in the namespace, also when used later from elsewhere."""
        with ThreadPoolExecutor(1, initializer=enter, initargs=(self.path,)) as pool:
            return pool.submit(function, *args, **kwargs).result()

    def argv(self, *command: str) -> list[str]:
        """The command line that runs `command` inside.

        nsenter and not `ip netns exec`, which mounts another /sys and hides the cgroups."""
        return ["nsenter", f"--net={self.path}", *command]

    def run(self, *command: str, stdin: str = "") -> str:
        """Run a command inside; its standard output. Raises CommandError."""
        return run(*self.argv(*command), stdin=stdin)

    def spawn(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a process inside; the caller ends it."""
        return subprocess.Popen(self.argv(*command), text=True, **options)

    def ip(self, commands: Iterable[str]) -> None:
        """Run `ip` commands inside as one batch: one process, however many there are."""
        run("ip", "-n", self.name, "-force", "-batch", "-", stdin=_lines(commands))

    def sysctl(self, values: Mapping[str, str]) -> None:
        """Set sysctls of the namespace, by their dotted names. Those that the kernel does not have are a failure."""
        self.call(_write_sysctls, dict(values))


def enter(path: Path) -> None:
    """Move the calling thread, for good, into the namespace at `path`."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if libc.setns(descriptor, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)


def run(*command: str, stdin: str = "") -> str:
    """Run a command; its standard output. Raises CommandError."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(f"{' '.join(command)} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


@contextlib.contextmanager
def namespaces(*labels: str) -> Iterator[dict[str, Namespace]]:
    """Fresh namespaces by label, loopback up; all gone at the end, whatever happens inside."""
    sweep()
    stem = f"{PREFIX}-{os.getpid()}-{next(_serial)}"
    made = {label: Namespace(f"{stem}-{label}", label) for label in labels}
    try:
        run("ip", "-batch", "-", stdin=_lines(f"netns add {namespace.name}" for namespace in made.values()))
        for namespace in made.values():
            namespace.call(_bring_up_loopback)
        yield made
    finally:
        _destroy(namespace.name for namespace in made.values())


def sweep() -> None:
    """Remove the namespaces that runs which are no longer alive left behind."""
    names = [path.name for path in RUN.glob(f"{PREFIX}-*-*")]
    _destroy(name for name in names if (pid := name.split("-")[1]).isdigit() and not Path(f"/proc/{pid}").exists())


def _destroy(names: Iterable[str]) -> None:
    """Take namespaces away, with their ends of veth pairs; fine if they are gone already."""
    if commands := _lines(f"netns del {name}" for name in names):
        subprocess.run(["ip", "-force", "-batch", "-"], input=commands, capture_output=True, text=True, check=False)


def _lines(commands: Iterable[str]) -> str:
    return "".join(f"{command}\n" for command in commands)


def _bring_up_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def _write_sysctls(values: dict[str, str]) -> None:
    for name, value in values.items():
        (Path("/proc/sys") / name.replace(".", "/")).write_text(value)
