"""What every test shares: a napari of its own, the real data, and the devices of this machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

# napari reads this when it is imported; without it the tests would overwrite the user's own settings.
_settings = tempfile.TemporaryDirectory(prefix="napari-dtn-tests-", ignore_cleanup_errors=True)
os.environ["NAPARI_CONFIG"] = str(Path(_settings.name) / "settings.yaml")
os.environ["XDG_CACHE_HOME"] = str(Path(_settings.name) / "cache")  # exported graphs, trials
os.environ["NAPARI_DTN_LIBRARY"] = str(Path(_settings.name) / "models")  # not the user's own
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest  # noqa: E402
import torch  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari_dtn.phantom import Phantom

PROJECT = Path(__file__).resolve().parent.parent
DATA = PROJECT.parent / "shared" / "data"
MISSING_DATA = "missing data"


def available_devices() -> list[str]:
    """Name the torch devices of this machine."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return ["cpu", *(name for name, present in found.items() if present)]


@pytest.fixture(params=available_devices())
def device(request: pytest.FixtureRequest) -> str:
    """Run the test once on each device of this machine."""
    return request.param


@pytest.fixture(scope="session")
def project() -> Path:
    """Folder that holds pyproject.toml."""
    return PROJECT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data, beside the project; the test is skipped where there is none."""
    if not DATA.is_dir():
        pytest.skip(f"{MISSING_DATA}: there is no folder {DATA}")
    return DATA


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With NAPARI_DTN_REQUIRE_DATA=1, a test that skips for want of data has failed."""
    report = yield
    required = os.environ.get("NAPARI_DTN_REQUIRE_DATA") == "1"
    if required and report.skipped and MISSING_DATA in str(report.longrepr):
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of a small DTN with random weights and a warp that moves, for tiles of 32 pixels."""
    from napari_dtn.nn.checkpoint import ModelCard, save_model
    from napari_dtn.nn.dtn import build_network
    from napari_dtn.settings import NetworkSettings

    torch.manual_seed(0)
    settings = NetworkSettings(base_channels=4, levels=3, transformer_levels=(2,))
    network = build_network(settings)
    torch.nn.init.normal_(network.encoders["2"].localise.place.weight, std=0.3)
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_model(path, network.state_dict(), ModelCard("tiny", settings, patch_size=32, voxel_size=(30, 6, 6)))
    return path


@pytest.fixture(scope="session")
def tiny_phantom() -> Phantom:
    """Four small sections with their truth."""
    from napari_dtn.phantom import PhantomSettings, make_phantom

    return make_phantom(PhantomSettings(shape=(4, 96, 80)))
