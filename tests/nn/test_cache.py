"""The cache gives back what was put into it, whole, or it is made again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from napari_dtn.nn import cache
from napari_dtn.nn.cache import cached

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"a.xml": b"<graph/>", "a.bin": bytes(range(256)) * 64}
KEY = {"model": "1"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def counted(made: list[int]) -> dict[str, bytes]:
    made.append(1)
    return FILES


def test_what_was_made_is_not_made_again(folder: Path) -> None:
    made: list[int] = []
    results = [cached("x", KEY, lambda: counted(made)) for _ in range(3)]
    assert results == [FILES] * 3
    assert len(made) == 1
    assert [path.suffix for path in folder.iterdir()] == [".zip"]


def test_another_key_is_another_entry(folder: Path) -> None:
    made: list[int] = []
    for model in ("1", "2"):
        cached("x", {"model": model}, lambda: counted(made))
    assert len(made) == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_entry_is_made_again(folder: Path, damage: str) -> None:
    cached("x", KEY, lambda: FILES)
    (entry,) = folder.iterdir()
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    entry.write_bytes({"cut": content[: len(content) // 2], "flipped": content, "empty": b""}[damage])
    made: list[int] = []
    assert [cached("x", KEY, lambda: counted(made)) for _ in range(2)] == [FILES] * 2
    assert len(made) == 1


def test_many_may_make_the_same_entry(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: cached("x", KEY, lambda: FILES), range(16)))
    assert results == [FILES] * 16
    assert len(list(folder.iterdir())) == 1


def test_without_room_nothing_is_kept(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.write_text("a file, not a folder")
    assert cached("x", KEY, lambda: FILES) == FILES
    assert "cannot be written" in caplog.text
