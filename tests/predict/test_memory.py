"""Memory stays the same however large the volume is."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from support.engine import run_program

if TYPE_CHECKING:
    from pathlib import Path

PEAK = """
import sys
from pathlib import Path
import numpy as np, torch
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.predict import predict
from napari_dtn.settings import PredictSettings
from napari_dtn.volume.opening import volume_from_array

class Virtual:
    ndim, dtype, chunks = 3, np.dtype("u1"), (1, 128, 128)
    def __init__(self, shape):
        self.shape = shape
    def __getitem__(self, key):
        z, y, x = (np.arange(size)[one] for one, size in zip(key, self.shape))
        return (np.add.outer(np.add.outer(z, y), x) % 251).astype(np.uint8)

model = load_model(sys.argv[1], "cpu")
volume = volume_from_array(Virtual(tuple(map(int, sys.argv[3:6]))))
settings = PredictSettings(overlap=0, batch_size=64, threads=1, block_side=1024)
for _ in predict(model, volume, sys.argv[2], settings=settings):
    pass
# Not ru_maxrss, which begins with the peak of the process that started this one: a ratio of 1, always.
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


@pytest.fixture(scope="module")
def light_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model that is next to nothing."""
    from napari_dtn.nn.checkpoint import ModelCard, save_model
    from napari_dtn.nn.dtn import build_network
    from napari_dtn.settings import NetworkSettings

    settings = NetworkSettings(base_channels=1, levels=2, transformer_levels=())
    path = tmp_path_factory.mktemp("light") / "light.safetensors"
    save_model(path, build_network(settings).state_dict(), ModelCard("light", settings, patch_size=64))
    return path


def peak(model: Path, out: Path, *shape: int) -> int:
    done = run_program(PEAK, model, out, *shape)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize(
    ("smaller", "larger"),
    [((2, 1500, 1500), (2, 6000, 6000)), ((2, 400, 400), (200, 400, 400))],
    ids=["Y and X", "Z"],
)
def test_memory_does_not_grow_with_the_volume(light_model: Path, tmp_path: Path, smaller, larger) -> None:
    """A slice of 6000 x 6000 takes 180 MB in float32 and uint8, a third of the process."""
    small = peak(light_model, tmp_path / "small.zarr", *smaller)
    large = peak(light_model, tmp_path / "large.zarr", *larger)
    assert large < 1.15 * small
