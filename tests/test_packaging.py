"""What a user installs: the plugin is found from a checkout, a wheel and an sdist, with all that it needs."""

from __future__ import annotations

import email
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest
from npe2 import PluginManager, PluginManifest
from packaging.requirements import Requirement

import napari_dtn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

MODELS = {"dtn-snemi3d", "unet-snemi3d"}
QT_BINDINGS = {"pyqt5", "pyqt6", "pyside2", "pyside6"}
MAX_MODEL_BYTES = 10_000_000


def run(*command: str | Path, cwd: Path | None = None, **variables: str) -> str:
    """Run a program that has to succeed; return what it printed."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", **variables}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel from the sdist, as a release does."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, project)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def sdist(dist: Path) -> Path:
    (found,) = dist.glob("*.tar.gz")
    return found


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def contents(wheel: Path) -> dict[str, int]:
    """Return the files of the package in a wheel, by their path in it, with their sizes."""
    with zipfile.ZipFile(wheel) as archive:
        files = {item.filename: item.file_size for item in archive.infolist()}
    return {name: size for name, size in files.items() if ".dist-info/" not in name}


# ---- the checkout


def test_the_editable_install_is_found(project: Path) -> None:
    manager = PluginManager()
    manager.discover()
    manifest = manager.get_manifest("napari-dtn")
    source = json.loads(distribution("napari-dtn").read_text("direct_url.json") or "{}")
    assert source["dir_info"] == {"editable": True}
    assert source["url"] == project.as_uri()
    assert manifest.package_version == napari_dtn.__version__
    assert manifest == PluginManifest.from_file(project / "napari.yaml")


def test_the_manifest_names_things_that_exist(project: Path) -> None:
    manifest = PluginManifest.from_file(project / "src" / "napari_dtn" / "napari.yaml")
    manifest.validate_imports()
    commands = manifest.contributions.commands or []
    assert all(command.id.startswith("napari-dtn.") for command in commands)
    run(sys.executable, "-m", "npe2", "validate", "napari_dtn", "--no-imports")


def test_the_manifest_at_the_top_is_the_packages(project: Path) -> None:
    assert (project / "napari.yaml").samefile(project / "src" / "napari_dtn" / "napari.yaml")


# ---- the files of a release


def test_the_wheel_holds_all_that_is_not_code(wheel: Path) -> None:
    files = contents(wheel)
    assert {"napari_dtn/napari.yaml", "napari_dtn/py.typed"} <= set(files)
    models = {PurePosixPath(name).stem: size for name, size in files.items() if name.endswith(".safetensors")}
    assert models.keys() == MODELS
    assert all(0 < size < MAX_MODEL_BYTES for size in models.values()), models


def test_the_wheel_holds_the_whole_package_and_nothing_else(project: Path, wheel: Path) -> None:
    source = project / "src"
    files = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    ours = {path.as_posix() for path in files if "__pycache__" not in path.parts}
    assert contents(wheel).keys() == ours


def test_the_wheel_holds_no_images(wheel: Path) -> None:
    """No EM data, nor a crop of it, may travel with the package."""
    suffixes = {PurePosixPath(name).suffix for name in contents(wheel)}
    assert suffixes <= {".py", ".yaml", ".typed", ".safetensors", ".npz", ".md", ".json"}
    tables = [name for name in contents(wheel) if name.endswith(".npz")]
    assert tables == ["napari_dtn/weights/edges-snemi3d.npz"]


def test_the_sdist_can_be_tested(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    top = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", "constraints.txt"}
    wanted = top | {"pyproject.toml", "dev.py", "mkdocs.yml", "src/napari_dtn/napari.yaml"}
    assert wanted | {"tests/conftest.py", "docs/index.md", "examples/predict_volume.py"} <= names


def test_the_sdist_and_the_checkout_give_the_same_wheel(project: Path, wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", tmp_path, project)
    (direct,) = tmp_path.glob("*.whl")
    assert contents(direct) == contents(wheel)


def test_pypi_would_take_them(wheel: Path, sdist: Path) -> None:
    assert "WARNING" not in run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)


# ---- the metadata


def test_napari_and_the_shell_find_their_entries() -> None:
    found = {(entry.group, entry.name): entry.value for entry in distribution("napari-dtn").entry_points}
    assert found == {
        ("console_scripts", "napari-dtn"): "napari_dtn.cli:main",
        ("napari.manifest", "napari-dtn"): "napari_dtn:napari.yaml",
    }


def test_the_plugin_list_takes_the_package_by_its_classifier(metadata: Message) -> None:
    assert "Framework :: napari" in metadata.get_all("Classifier", [])
    assert metadata["Name"] == "napari-dtn"
    assert metadata["Version"] == napari_dtn.__version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "BSD-3-Clause"


def test_only_the_extra_brings_a_qt_binding(metadata: Message) -> None:
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    base = [item for item in requirements if item.marker is None or item.marker.evaluate({"extra": ""})]
    assert not {item.name.lower() for item in base} & QT_BINDINGS
    assert [item.extras for item in base if item.name == "napari"] == [set()]
    all_ = [item for item in requirements if item not in base and item.marker.evaluate({"extra": "all"})]
    assert [(item.name, item.extras) for item in all_] == [("napari", {"all"}), ("trimesh", set())]
    features = {"bioimageio", "cluster", "meshes", "mrc", "n5", "onnx", "openvino", "precomputed", "remote"}
    assert {"all", "dev", "docs", "test", *features} == set(metadata.get_all("Provides-Extra", []))


def test_the_packages_version_is_cited(project: Path) -> None:
    assert f"version: {napari_dtn.__version__}\n" in (project / "CITATION.cff").read_text()
    assert f"## [{napari_dtn.__version__}]" in (project / "CHANGELOG.md").read_text()


# ---- an empty environment


@pytest.fixture(scope="module")
def empty(project: Path, wheel: Path) -> Iterator[Path]:
    """Make an environment that holds the wheel, napari and what they ask for; return its programs' folder."""
    with tempfile.TemporaryDirectory(prefix="napari-dtn-empty-", dir=roomy_folder()) as folder:
        venv.create(folder, with_pip=False)
        programs = Path(folder) / ("Scripts" if os.name == "nt" else "bin")
        pip = [sys.executable, "-m", "pip", "--python", programs / "python"]
        constraints = (project / "constraints.txt").as_uri()
        options = ["--quiet", "--no-compile", "--disable-pip-version-check"]
        run(*pip, "install", *options, wheel, "napari", PIP_CONSTRAINT=constraints)
        yield programs


def roomy_folder() -> str | None:
    """Choose memory where there is plenty: making and deleting 40,000 files takes minutes on some disks."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > 6e9 else None


DESCRIBE = """
import importlib.util, json, npe2, napari_dtn
manager = npe2.PluginManager()
manager.discover()
manifest = manager.get_manifest("napari-dtn")
print(json.dumps({
    "home": napari_dtn.__file__,
    "commands": [command.id for command in manifest.contributions.commands or []],
    "qt": [name for name in ("PyQt5", "PyQt6", "PySide2", "PySide6") if importlib.util.find_spec(name)],
}))
"""
LOAD = """
from napari_dtn.nn.checkpoint import bundled_models, load_model
print(*(load_model(name, device="cpu").card.name for name in bundled_models()))
"""


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(project: Path, empty: Path, tmp_path: Path) -> None:
    found = json.loads(run(empty / "python", "-I", "-c", DESCRIBE, cwd=tmp_path))
    manifest = PluginManifest.from_file(project / "napari.yaml")
    assert Path(found["home"]).is_relative_to(empty.parent)
    assert found["commands"] == [command.id for command in manifest.contributions.commands or []]
    assert found["qt"] == []


@pytest.mark.slow
def test_the_bundled_models_load_in_an_empty_environment(empty: Path, tmp_path: Path) -> None:
    assert set(run(empty / "python", "-I", "-c", LOAD, cwd=tmp_path).split()) == MODELS


@pytest.mark.slow
def test_the_command_line_works_in_an_empty_environment(empty: Path, tmp_path: Path) -> None:
    help_text = run(empty / "napari-dtn", "--help", cwd=tmp_path)
    assert all(command in help_text for command in ("demo", "info", "train", "predict", "evaluate"))
    assert napari_dtn.__version__ in run(empty / "napari-dtn", "--version", cwd=tmp_path)


# ---- napari's plugin manager

DIALOG = """
import json, sys
from napari._qt.qt_event_loop import get_qapp
from napari_plugin_manager import npe2api
npe2api.EXTENDED_SUMMARY_URL, npe2api.CONDA_URL = sys.argv[1:]
from napari_plugin_manager.qt_plugin_dialog import QtPluginDialog
app = get_qapp()
dialog = QtPluginDialog()
dialog.show()
rows = [dialog.installed_list.item(row).widget for row in range(dialog.installed_list.count())]
shown = {row.name: [row.version.text(), row.enabled_checkbox.isChecked(), row.summary.text()] for row in rows}
print(json.dumps(shown))
dialog.worker.await_workers(10_000)
app.processEvents()
dialog.close()
"""


def test_the_plugin_manager_lists_it(tmp_path: Path) -> None:
    """The real dialog, with an empty list of the plugins on napari's server."""
    served = {"summary.json": [], "conda.json": {}}
    for name, content in served.items():
        (tmp_path / name).write_text(json.dumps(content))
    urls = [(tmp_path / name).as_uri() for name in served]
    settings = {"NAPARI_CONFIG": str(tmp_path / "settings.yaml"), "QT_QPA_PLATFORM": "offscreen"}
    shown = json.loads(run(sys.executable, "-c", DIALOG, *urls, **settings).splitlines()[-1])
    version, enabled, summary = shown["napari-dtn"]
    assert version.replace("\N{ONE DOT LEADER}", ".") == napari_dtn.__version__  # the dialog's own dot
    assert enabled
    assert summary.startswith("Dense Transformer Networks")
