"""Small models, and what napari tells the user."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from npe2 import PluginManager

from napari_dtn._napari.job import stop_all_jobs
from napari_dtn.nn.checkpoint import ModelCard, save_model
from napari_dtn.nn.dtn import build_network
from napari_dtn.nn.normalising import adapted
from napari_dtn.settings import NetworkSettings
from support.clicking import SHAPE, control
from support.rooms import by_walls, walls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from napari.utils.notifications import Notification

PATCH = 64


def _save_tiny(path: Path, **shape: object) -> Path:
    """Write a model with random weights, those of the localisation too, so that it warps."""
    settings = NetworkSettings(base_channels=4, **shape)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(settings)
        for name, parameter in network.named_parameters():
            if ".localise." in name:
                torch.nn.init.normal_(parameter, std=0.1)
        # Otherwise what is deep vanishes, and a warp with it.
        network = adapted(network.eval(), [torch.randn(4, settings.input_maps, 64, 64)])
    names = (
        tuple(f"class {i}" for i in range(settings.n_classes)) if settings.n_classes > 1 else ("boundary",)
    )
    card = ModelCard(path.stem, settings, PATCH, (30.0, 6.0, 6.0), names)
    save_model(path, network.state_dict(), card)
    return path


@pytest.fixture(scope="session", autouse=True)
def _plugins() -> None:
    """Let napari find the installed plugins, as it does when its window opens."""
    PluginManager.instance().discover()


@pytest.fixture(autouse=True)
def _what_stays_is_not_searched() -> None:
    """Let garbage collections pass over what earlier tests left: modules, and what napari keeps.

    There are several a test, at each layer that is removed, and they would take longer with each test.
    """
    gc.freeze()


@pytest.fixture(autouse=True)
def _log_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the package's log back: a panel takes its warnings for napari."""
    package = logging.getLogger("napari_dtn")
    monkeypatch.setattr(package, "propagate", True)
    monkeypatch.setattr(package, "handlers", [])


@pytest.fixture(scope="session")
def tiny_dtn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a DTN with random weights."""
    return _save_tiny(tmp_path_factory.mktemp("models") / "tiny-dtn.safetensors")


@pytest.fixture(scope="session")
def tiny_unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a U-Net with random weights."""
    return _save_tiny(tmp_path_factory.mktemp("models") / "tiny-unet.safetensors", transformer_levels=())


@pytest.fixture
def save_tiny() -> Callable[..., Path]:
    """Return what writes a model with random weights of a shape."""
    return _save_tiny


@pytest.fixture
def told() -> Iterator[list[Notification]]:
    """Collect what napari tells the user during the test."""
    from napari.utils.notifications import notification_manager

    notifications: list[Notification] = []
    notification_manager.notification_ready.connect(notifications.append)
    yield notifications
    notification_manager.notification_ready.disconnect(notifications.append)


@pytest.fixture(scope="session")
def em() -> np.ndarray:
    """Return a small volume."""
    return np.random.default_rng(0).integers(30, 220, (4, 90, 70), dtype=np.uint8)


@pytest.fixture
def viewer(make_napari_viewer):
    viewer = make_napari_viewer()
    yield viewer
    stop_all_jobs()


@pytest.fixture
def panel(viewer, tmp_path, monkeypatch):
    """Open the panel as the menu does; look for devices and bad slices only where a test asks for it."""
    monkeypatch.setattr("napari_dtn._napari.predict_panel._SURVEY_DELAY", 10**7)
    monkeypatch.setattr("napari_dtn._napari.slice_note._DELAY", 10**7)
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Predict boundaries")
    return panel


@pytest.fixture
def ready(panel, viewer, tiny_dtn, tmp_path, em):
    """Choose an image, a model and an output."""
    viewer.add_image(em, name="em", scale=(30, 6, 6), units=("nm",) * 3)
    panel.controls.add_model(str(tiny_dtn), choose=True)
    panel.controls.output.setText(str(tmp_path / "out.zarr"))
    return panel


@pytest.fixture
def click_panel(make_napari_viewer, tmp_path, monkeypatch):
    """Open the click panel over rooms with walls, as the menu does; the walls decide about merges."""
    monkeypatch.setattr("napari_dtn.session.evidence.merge_probabilities", by_walls)
    boundaries = np.round(255 * walls(SHAPE)).astype(np.uint8)
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 800)
    image = viewer.add_image(255 - boundaries, name="em", scale=(30, 6, 6), units=("nm",) * 3)
    shown = {"scale": (30, 6, 6), "units": ("nm",) * 3, "metadata": {"napari_dtn": {"role": "boundaries"}}}
    viewer.add_image(boundaries, name="em boundaries", visible=False, **shown)
    viewer.layers.selection.active = image
    viewer.dims.set_point(0, 60.0)
    viewer.reset_view()
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Segment by clicking")
    control(panel, "folder").setText(str(tmp_path / "objects"))
    yield panel
    panel._leave()
    stop_all_jobs()
    panel._desk.close()


@pytest.fixture
def taught(make_napari_viewer, tmp_path, tiny_phantom, monkeypatch):
    """Open the panel that teaches as the menu does, over the phantom, with a library of its own."""
    monkeypatch.setenv("NAPARI_DTN_LIBRARY", str(tmp_path / "library"))
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1200, 800)
    image = viewer.add_image(tiny_phantom.image, name="em", scale=(30, 6, 6), units=("nm",) * 3)
    viewer.dims.set_point(0, 60.0)
    _, panel = viewer.window.add_plugin_dock_widget("napari-dtn", "Teach the model")
    viewer.reset_view()
    viewer.layers.selection.active = image
    panel.controls.folder.setText(str(tmp_path / "objects"))
    yield panel
    panel._leave()
    stop_all_jobs()
    panel.annotating.desk.close()
