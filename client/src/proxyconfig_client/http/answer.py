"""What an HTTP client gets."""

from __future__ import annotations

from msgspec import Struct


class Answer(Struct, frozen=True):
    status: int
    body: bytes
    content_type: str = "application/json"
