"""Logging of both processes: one line per decision on standard error, as JSON or as text; includes the libraries' own lines."""

from __future__ import annotations

import logging
import sys
from typing import Literal, TextIO

import msgspec
import structlog

LEVELS = ("debug", "info", "warning", "error")
Format = Literal["json", "text"]


def configure(level: str = "info", form: Format = "json", stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's root logger. `level` is one of LEVELS."""
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(form)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _renderer(form: Format) -> structlog.typing.Processor:
    if form == "json":
        return structlog.processors.JSONRenderer(serializer=_encoded)
    return structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "logger", "event"])


def _encoded(fields: object, **_: object) -> str:
    return msgspec.json.encode(fields, enc_hook=str).decode()
