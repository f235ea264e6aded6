"""The rooms import only downwards, and the linter that says so would notice if they did not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LAYERS = "Imports point only down the list of rooms"
GUI = "Only _napari knows napari, Qt, superqt and magicgui"
TORCH = "Only nn, predict, classify, train and teach know torch"


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter in a folder, on its ``src/napari_dtn`` by the contracts of its ``pyproject.toml``."""
    program = (
        "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports_command; "
        "lint_imports_command(['--no-cache'])"
    )
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def copy(project: Path, tmp_path: Path) -> Path:
    """Copy the package's sources, to plant something in."""
    ignored = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(project / "src", tmp_path / "src", ignore=ignored)
    shutil.copy(project / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_hold(project: Path) -> None:
    done = lint_imports(project)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("room", "line", "contract"),
    [
        ("settings.py", "import napari_dtn.volume", LAYERS),
        ("volume/__init__.py", "import napari_dtn.nn", LAYERS),
        ("nn/__init__.py", "import napari_dtn.metrics", LAYERS),
        ("metrics/__init__.py", "import napari", GUI),
        (
            "nn/__init__.py",
            "from qtpy.QtCore import QTimer",
            GUI,
        ),
        ("volume/__init__.py", "import torch", TORCH),
        ("patches.py", "def late():\n    import torch", TORCH),
    ],
)
def test_a_planted_import_is_caught(copy: Path, room: str, line: str, contract: str) -> None:
    path = copy / "src" / "napari_dtn" / room
    path.write_text(path.read_text() + f"\n\n{line}\n")
    done = lint_imports(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{contract} BROKEN" in done.stdout


def test_a_room_outside_the_list_is_caught(copy: Path) -> None:
    (copy / "src" / "napari_dtn" / "lounge.py").write_text("")
    done = lint_imports(copy)
    assert done.returncode != 0
    assert "lounge" in done.stdout + done.stderr
