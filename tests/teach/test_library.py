"""The library: versions by name, and nothing that a mistake could lose."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from napari_dtn.nn.bundled import known_models
from napari_dtn.nn.checkpoint import find_model, load_card, load_model, read_tensors
from napari_dtn.teach.library import Library

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A library that is also the one of load_model."""
    monkeypatch.setenv("NAPARI_DTN_LIBRARY", str(tmp_path / "library"))
    return Library()


def test_an_empty_library_is_no_error(library: Library) -> None:
    assert library.versions() == library.trash() == []


def test_a_kept_model_loads_by_name_with_its_weights(library: Library, tiny_model: Path) -> None:
    version = library.add(tiny_model, "my tissue", {"phantom": {"after": 0.9}})
    assert find_model("my tissue") == find_model(version.id) == version.path
    assert "my tissue" in known_models()
    card = load_model("my tissue", "cpu").card
    assert (card.name, card.scores) == ("my tissue", {"phantom": {"after": 0.9}})
    one, other = read_tensors(tiny_model), read_tensors(version.path)
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)


def test_the_newest_is_current_until_another_is_chosen(library: Library, tiny_model: Path) -> None:
    first, second = (library.add(tiny_model, "a") for _ in range(2))
    assert first.path != second.path, "two in one second"
    assert [(one.date, one.current) for one in library.versions()] == [
        (second.date, True),
        (first.date, False),
    ]
    library.revert(first)
    assert find_model("a") == first.path
    third = library.add(tiny_model, "a")
    assert find_model("a") == third.path


def test_what_is_deleted_comes_back(library: Library, tiny_model: Path) -> None:
    first, second = (library.add(tiny_model, "a") for _ in range(2))
    library.delete(second)
    assert find_model("a") == first.path
    (trashed,) = library.trash()
    assert trashed.date == second.date
    library.delete(first)
    assert library.versions() == []
    with pytest.raises(FileNotFoundError, match="No model 'a'"):
        find_model("a")
    for one in library.trash():
        library.restore(one)
    assert {one.date for one in library.versions()} == {first.date, second.date}
    assert library.trash() == []


def test_a_new_version_never_takes_the_place_of_a_deleted_one(library: Library, tiny_model: Path) -> None:
    library.delete(library.add(tiny_model, "a"))
    library.delete(library.add(tiny_model, "a"))
    assert len(library.trash()) == 2


def test_a_name_changes_for_all_versions(library: Library, tiny_model: Path) -> None:
    first = library.add(tiny_model, "a")
    library.add(tiny_model, "a")
    library.revert(first)
    library.rename("a", "b")
    assert {one.name for one in library.versions()} == {"b"}
    assert find_model("b").stem == first.date
    library.add(tiny_model, "c")
    with pytest.raises(ValueError, match="There is a model 'c' already"):
        library.rename("b", "c")


def test_a_version_that_has_gone_is_named(library: Library, tiny_model: Path, tmp_path: Path) -> None:
    stale = library.add(tiny_model, "a")
    library.rename("a", "b")
    for do in (library.delete, lambda one: library.share(one, tmp_path / "m.safetensors")):
        with pytest.raises(FileNotFoundError, match="may have another name by now"):
            do(stale)


@pytest.mark.parametrize("name", ["", " a", "a/b", "..", ".hidden", "a@b", "dtn-snemi3d", "a.", "x" * 101])
def test_impossible_names_are_refused(library: Library, tiny_model: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        library.add(tiny_model, name)
    assert library.versions() == []


def test_what_is_no_model_is_refused_and_not_listed(
    library: Library, tiny_model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(tiny_model.read_bytes()[:50])
    with pytest.raises(ValueError, match="not a safetensors file"):
        library.add(broken, "broken")
    version = library.add(tiny_model, "whole")
    (version.path.parent / "2026-01-01 00.00.00.safetensors").write_bytes(b"nothing")
    assert library.versions() == [version]


def test_a_shared_file_becomes_a_version_elsewhere(
    library: Library, tiny_model: Path, tmp_path: Path
) -> None:
    version = library.add(tiny_model, "a")
    library.share(version, tmp_path / "shared.safetensors")
    with pytest.raises(FileExistsError):
        library.share(version, tmp_path / "shared.safetensors")
    other = Library(tmp_path / "other").add(tmp_path / "shared.safetensors", "theirs")
    assert load_card(other.path).network == load_card(tiny_model).network
    with pytest.raises(ValueError, match=r"must end in \.safetensors, or in \.zip"):
        library.share(version, tmp_path / "shared.pt")


@pytest.mark.slow
def test_a_model_is_shared_as_a_package_of_the_zoo(
    library: Library, tiny_model: Path, tmp_path: Path
) -> None:
    library.share(library.add(tiny_model, "a"), tmp_path / "a.zip")
    assert "bioimageio.yaml" in zipfile.ZipFile(tmp_path / "a.zip").namelist()
