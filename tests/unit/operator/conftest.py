"""An operator of a version that lacks a mode: such versions come with every mode that is new."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxyconfig_api.spec import modes
from proxyconfig_api.spec.sections import Mode


@pytest.fixture(scope="module")
def no_userspace() -> Iterator[None]:
    """Mode userspace is not in this version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(modes.BUILT, Mode.USERSPACE)
        yield
