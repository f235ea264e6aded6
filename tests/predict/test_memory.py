"""Memory stays the same however large the volume is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.engine import run_program

if TYPE_CHECKING:
    from pathlib import Path

PEAK = """
import resource, sys
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
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
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
@pytest.mark.parametrize("larger", [(2, 4000, 4000), (200, 400, 400)], ids=["Y and X", "Z"])
def test_memory_does_not_grow_with_the_volume(light_model: Path, tmp_path: Path, larger) -> None:
    """A slice of 4000 x 4000 takes 80 MB in float32 and uint8, a tenth of the process and more."""
    small = peak(light_model, tmp_path / "small.zarr", 2, 400, 400)
    assert peak(light_model, tmp_path / "large.zarr", *larger) < 1.1 * small
