"""How logs are written in tests that are not about them."""

from __future__ import annotations

import structlog


def configure() -> None:
    """Write them for people, with plain tracebacks.

    structlog's own default prints the local variables of each frame where rich is installed: seconds per traceback.
    """
    structlog.reset_defaults()
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])
