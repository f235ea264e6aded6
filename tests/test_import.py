"""Importing the package is instant: nothing heavy is loaded before somebody asks for it."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest

import napari_dtn

HEAVY = {"dask", "h5py", "magicgui", "napari", "qtpy", "scipy", "skimage", "superqt", "torch", "zarr"}
LAZY = sorted({*napari_dtn.__all__} - {"__version__"})


def loaded_by(code: str) -> set[str]:
    """Run a program in a fresh interpreter; return the top-level packages loaded at its end."""
    program = (
        f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "code",
    [
        "import napari_dtn",
        "import napari_dtn; dir(napari_dtn)",
        "import napari_dtn; napari_dtn.__version__",
        "import napari_dtn.settings",
    ],
)
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert not loaded_by(code) & HEAVY


def test_the_probe_sees_a_heavy_import() -> None:
    assert "torch" in loaded_by("import napari_dtn; napari_dtn.load_model")


def test_opening_a_volume_needs_no_torch() -> None:
    assert not loaded_by("import napari_dtn; napari_dtn.open_volume") & {
        "torch",
        "napari",
        "qtpy",
        "magicgui",
    }


@pytest.mark.parametrize("name", LAZY)
def test_public_names_are_the_functions_of_their_modules(name: str) -> None:
    value = getattr(napari_dtn, name)
    assert callable(value)
    assert value is getattr(import_module(value.__module__), name)
    assert value.__module__.startswith("napari_dtn.")


def test_dir_lists_the_public_names() -> None:
    assert {*napari_dtn.__all__} <= set(dir(napari_dtn))


@pytest.mark.parametrize("name", ["predict", "train"])
def test_a_function_survives_the_import_of_its_namesake(name: str) -> None:
    """``import napari_dtn.predict`` would otherwise put the module in the function's place."""
    loaded_by(
        f"import napari_dtn.{name}\n"
        f"assert napari_dtn.{name}.__name__ == '{name}'\n"
        f"from napari_dtn import {name}\n"
        f"assert callable({name})"
    )


def test_an_unknown_name_says_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'segmentt'"):
        _ = napari_dtn.segmentt


def test_what_the_teaching_panel_lists_needs_no_torch() -> None:
    rooms = (f"napari_dtn.teach.{name}" for name in ("events", "library", "planning", "preflight"))
    assert "torch" not in loaded_by(f"import {', '.join(rooms)}")
