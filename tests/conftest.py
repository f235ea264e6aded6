"""What every test shares: a napari of its own, the real data, and the devices of this machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

# napari reads this when it is imported; without it the tests would overwrite the user's own settings.
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp(prefix="napari-dtn-tests-")) / "settings.yaml")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
import torch

if TYPE_CHECKING:
    from collections.abc import Generator

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
