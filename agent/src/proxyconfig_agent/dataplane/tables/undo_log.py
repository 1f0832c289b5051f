"""Undoing changes of dictionaries and byte arrays: a transaction that the kernel refuses leaves no trace in memory either."""

from __future__ import annotations

from typing import Any

_ABSENT = object()


class UndoLog:
    """Changes go through `put` and `drop`; `rollback` takes back those since a mark."""

    def __init__(self) -> None:
        self._undo: list[tuple[Any, Any, Any]] = []

    def put(self, table: Any, key: Any, value: Any) -> None:
        self._undo.append((table, key, table.get(key, _ABSENT) if isinstance(table, dict) else table[key]))
        table[key] = value

    def drop(self, table: dict[Any, Any], key: Any) -> None:
        self._undo.append((table, key, table.pop(key)))

    def mark(self) -> int:
        return len(self._undo)

    def clear(self) -> None:
        self._undo.clear()

    def rollback(self, mark: int = 0) -> None:
        while len(self._undo) > mark:
            table, key, value = self._undo.pop()
            if value is _ABSENT:
                del table[key]
            else:
                table[key] = value
