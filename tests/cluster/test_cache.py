"""The cache makes each thing once, whole or not at all."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from tests.cluster import cache
from tests.support.polling import eventually


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXYCONFIG_CACHE", str(tmp_path / "cache"))


def test_what_is_there_is_not_made_again() -> None:
    made: list[Path] = []
    assert cache.entry("bin", "a", made.append) == cache.entry("bin", "a", made.append)
    assert len(made) == 1


def test_a_failed_making_leaves_no_entry_and_the_next_one_starts_empty() -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise RuntimeError("no space")

    with pytest.raises(RuntimeError, match="no space"):
        cache.entry("bin", "a", fail)
    assert list(cache.entry("bin", "a", lambda folder: (folder / "whole").touch()).iterdir()) == [cache.root() / "bin" / "a" / "whole"]


def test_two_runs_that_want_the_same_make_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, finish = threading.Event(), threading.Event()
    makers: list[str] = []

    def slowly(_folder: Path) -> None:
        makers.append("first")
        begun.set()
        assert finish.wait(60)

    # A file, because what is written while capsys is read may be lost.
    said = tmp_path / "said"
    with said.open("w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        first = threading.Thread(target=cache.entry, args=("bin", "a", slowly))
        first.start()
        assert begun.wait(60)
        second = threading.Thread(target=cache.entry, args=("bin", "a", lambda _: makers.append("second")))
        second.start()
        eventually(lambda: "another run is making bin a" in said.read_text(), within_s=60)
        finish.set()
        first.join(60)
        second.join(60)
    assert makers == ["first"]


def test_other_inputs_have_another_name() -> None:
    assert cache.digest(["ab", "c"]) != cache.digest(["a", "bc"])
    assert cache.digest(["ab", b"c"]) == cache.digest([b"ab", "c"])


def test_the_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROXYCONFIG_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.root() == tmp_path / "proxyconfig"
