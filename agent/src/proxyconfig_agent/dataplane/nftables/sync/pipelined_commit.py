"""Commits one transaction in a thread while the next one is put together: the kernel works for as long as we do, on another CPU."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from proxyconfig_agent.dataplane.tables.kernel.generation import Writer
from proxyconfig_agent.netlink.nftables.messages import Message


class PipelinedCommit:
    """One transaction at a time. Nobody else may use the writer between `begin` and the `wait` after it; leaving the context waits, too."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._join()

    def begin(self, messages: Iterable[Message]) -> None:
        """Commit these; they are encoded meanwhile, so what they are made of must not change."""
        self._thread = threading.Thread(target=self._commit, args=(messages,), name="commit")
        self._thread.start()

    def wait(self) -> None:
        """Until the kernel has what was begun last, if anything was. Raises KernelError if it refused that."""
        self._join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _commit(self, messages: Iterable[Message]) -> None:
        try:
            self._writer.commit(messages)
        except Exception as error:
            self._error = error
