from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from tests.support import plainlogs

from proxyconfig_client.process import logs


@pytest.fixture
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    plainlogs.configure()


@pytest.mark.usefixtures("_restored_logging")
def test_own_and_foreign_lines_have_the_same_shape() -> None:
    out = io.StringIO()
    logs.configure("info", "json", out)
    structlog.get_logger("runner").info("synced", operations=3, took_s=0.04)
    structlog.get_logger("runner").debug("not shown")
    logging.getLogger("library").warning("lost %s", "something")
    own, foreign = [json.loads(line) for line in out.getvalue().splitlines()]
    assert (own["event"], own["operations"], own["level"], own["logger"]) == ("synced", 3, "info", "runner")
    assert (foreign["event"], foreign["level"], foreign["logger"]) == ("lost something", "warning", "library")


@pytest.mark.usefixtures("_restored_logging")
def test_text_lines_are_key_and_value() -> None:
    out = io.StringIO()
    logs.configure("info", "text", out)
    structlog.get_logger("runner").info("synced", operations=3)
    assert "event=synced" in out.getvalue()
    assert "operations=3" in out.getvalue()
