"""What Windows and Macs do otherwise, as far as it can be tried elsewhere."""

from __future__ import annotations

import ntpath
import os
import stat
from pathlib import Path
from urllib.request import url2pathname

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_dtn import durable, recipes
from napari_dtn.nn import autocasting, memory
from napari_dtn.nn.blocks import pooled_by_products
from napari_dtn.recipes import Input, click_recipe, predict_recipe
from napari_dtn.segmenting import keeping
from napari_dtn.settings import ClickSettings, PredictSettings, Roi
from napari_dtn.teach.library import Library
from napari_dtn.volume import guarding, label_files
from napari_dtn.volume.guarding import check_apart
from napari_dtn.volume.label_files import save_labels
from napari_dtn.volume.n5 import is_n5
from napari_dtn.volume.opening import open_volume, volume_from_array
from napari_dtn.volume.places import place_of
from napari_dtn.volume.writing import write_image

WINDOWS_PATH = r"C:\Users\me\EM data\stack.tif"


# ---- Windows


def test_files_are_flushed_by_what_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows flushes no file that was opened to be read."""
    modes = []

    def flushed(descriptor: int) -> None:
        assert stat.S_ISREG(os.fstat(descriptor).st_mode)
        modes.append(os.write(descriptor, b""))  # fails where it may only be read

    monkeypatch.setattr(durable, "_syncfs", lambda: None)
    monkeypatch.setattr(os, "fsync", flushed)
    (tmp_path / "0").write_bytes(b"something")
    durable.make_durable(tmp_path, [tmp_path / "0", tmp_path / "of zeros, and so not there"])
    assert modes == [0]
    assert (tmp_path / "0").read_bytes() == b"something"


def test_a_program_behind_an_alias_is_not_asked_for_its_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the Microsoft Store installs cannot be opened as a file, which `libc_ver` would."""

    def fail() -> tuple[str, str]:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(memory.platform, "libc_ver", fail)
    monkeypatch.setattr(memory.sys, "platform", "win32")
    assert memory.keep_freed_memory.__wrapped__() is False


def test_copied_commands_are_for_the_shell_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "_WINDOWS", True)
    output = Path("out.zarr")
    command = predict_recipe(Input(WINDOWS_PATH, None), "m", output, Roi(), PredictSettings()).command
    assert command == f'napari-dtn predict "{WINDOWS_PATH}" --output out.zarr --model m'
    recipe = click_recipe(Input(WINDOWS_PATH, None), "", "m", Path("s"), ClickSettings(), output)
    assert [line.split()[1] for line in recipe.command.splitlines()] == ["predict", "segment"]
    assert "&&" not in recipe.command
    assert "'" not in recipe.command


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "EM data"
    write_image(folder / "a.zarr", np.zeros((1, 4, 4), np.uint8), voxel_size=(30, 6, 6), attributes={})
    assert place_of((folder / "a.zarr").as_uri()) == folder / "a.zarr"
    assert open_volume((folder / "a.zarr").as_uri()).shape == (1, 4, 4)
    from nturl2path import url2pathname as of_windows

    assert ntpath.splitdrive(of_windows("/C:/EM%20data/a.zarr"))[0] == "C:"
    assert url2pathname("/EM%20data") == "/EM data"


def test_units_beyond_ascii_are_read_in_any_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """N5 is in UTF-8, whatever the code page of the system."""
    folder = tmp_path / "a.n5"
    write_n5(folder, '{"n5": "2.0.0", "resolution": [0.004, 0.004, 0.04], "units": ["µm", "µm", "µm"]}')
    monkeypatch.setattr(Path, "read_text", lambda *_: pytest.fail("decoded by the locale"))
    assert is_n5(folder)
    assert open_volume(folder).voxel_size == pytest.approx((40, 4, 4))


def write_n5(folder: Path, attributes: str) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    metadata = {
        "dimensions": [8, 8, 2],
        "blockSize": [8, 8, 2],
        "dataType": "uint8",
        "compression": {"type": "raw"},
    }
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": str(folder)}, "metadata": metadata}
    tensorstore.open(spec, create=True).result()[...] = 1
    import json

    told = {**json.loads((folder / "attributes.json").read_bytes()), **json.loads(attributes)}
    (folder / "attributes.json").write_text(json.dumps(told, ensure_ascii=False), "utf-8")


def test_a_file_that_is_open_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch) -> None:
    labels = volume_from_array(np.ones((1, 8, 8), np.uint16), (30, 6, 6), "ids")
    path = save_labels(labels, tmp_path / "ids.tif")
    monkeypatch.setattr(label_files, "_WINDOWS", True)
    save_labels(labels, path, overwrite=True)

    def held(*_: object) -> None:
        raise PermissionError(13, "The process cannot access the file")

    monkeypatch.setattr(Path, "rename", held)
    with pytest.raises(PermissionError, match=r"ids\.tif is open, perhaps as a layer: remove that first"):
        save_labels(labels, path, overwrite=True)
    assert [one.name for one in tmp_path.iterdir()] == ["ids.tif"]


def test_a_graph_in_use_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = tmp_path / "b.zarr.graph"
    graph.mkdir()
    (graph / "edges.npy").write_bytes(b"mapped")

    def held(*_: object) -> None:
        raise PermissionError(13, "The process cannot access the file")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", held)
        with pytest.raises(PermissionError, match="where a panel clicks on it, stop that"):
            keeping._put_aside(graph)
    assert (graph / "edges.npy").read_bytes() == b"mapped"
    keeping._put_aside(graph)
    assert list(tmp_path.iterdir()) == []


# ---- file systems on which capitals do not count


def test_an_input_by_another_name_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("em.zarr", "slices"):
        (tmp_path / name).mkdir()
    (tmp_path / "slices" / "0.tif").write_bytes(b"")
    monkeypatch.setattr(guarding, "_same", lambda a, b: str(a).casefold() == str(b).casefold())
    for output, read in (
        ("EM.zarr", "em.zarr"),
        ("SLICES/1.tif", "slices"),
    ):
        with pytest.raises(ValueError, match="which is read"):
            check_apart(tmp_path / output, str(tmp_path / read))
    check_apart(tmp_path / "Other.zarr", str(tmp_path / "em.zarr"))


def test_a_place_is_the_same_by_all_its_names(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"")
    os.link(tmp_path / "one", tmp_path / "ONE")
    with pytest.raises(ValueError, match="which is read"):
        check_apart(tmp_path / "ONE", str(tmp_path / "one"))


def test_models_whose_names_differ_by_capitals_are_one(tmp_path: Path, tiny_model: Path) -> None:
    library = Library(tmp_path)
    library.add(tiny_model, "tissue")
    assert library.add(tiny_model, "Tissue").name == "tissue"
    library.add(tiny_model, "other")
    with pytest.raises(ValueError, match="There is a model 'tissue' already"):
        library.rename("other", "TISSUE")
    library.rename("tissue", "Tissue")
    assert {one.name for one in library.versions()} == {"Tissue", "other"}


# ---- Apple GPUs


@pytest.mark.parametrize("size", [(25, 26), (28, 28), (3, 7), (8, 5)])
def test_means_over_cells_of_unequal_size_as_products(size: tuple[int, int]) -> None:
    features = torch.randn(2, 3, *size, requires_grad=True)
    for cells in ((7, 7), (2, 5), (4, 4)):
        expected = F.adaptive_avg_pool2d(features, cells)
        torch.testing.assert_close(pooled_by_products(features, cells), expected)
        (one,) = torch.autograd.grad(pooled_by_products(features, cells).square().sum(), features)
        (other,) = torch.autograd.grad(expected.square().sum(), features)
        torch.testing.assert_close(one, other)


def test_autocast_is_not_turned_off_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch 2.4 refuses Apple GPUs even then."""
    made = []
    monkeypatch.setattr(autocasting.torch, "autocast", lambda *a, **k: made.append((a, k)))
    monkeypatch.setattr(autocasting, "_KNOWN_ON_MPS", False)
    with autocasting.computing_in("mps"):
        assert made == []
    autocasting.computing_in("cpu")
    assert made == [(("cpu", torch.float32), {"enabled": False})]
