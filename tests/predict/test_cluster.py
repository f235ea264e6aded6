"""A real scheduler with worker processes computes what one process does, and survives a lost worker."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_dtn.nn.checkpoint import Model, load_model
from napari_dtn.predict import predict
from napari_dtn.predict.cluster import gpu_of
from napari_dtn.predict.output import is_unfinished
from napari_dtn.volume.opening import open_volume, volume_from_array
from support.engine import SETTINGS, files_in

if TYPE_CHECKING:
    from pathlib import Path

LARGE = np.random.default_rng(3).integers(30, 220, (12, 256, 256), dtype=np.uint8)  # a block a slice


@pytest.fixture
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model, "cpu")


@pytest.mark.slow
def test_a_lost_worker_is_replaced_and_the_result_is_that_of_one_process(
    model: Model, tmp_path: Path
) -> None:
    from distributed import Client, LocalCluster

    volume = volume_from_array(LARGE, (30, 6, 6), "large")
    list(predict(model, volume, tmp_path / "alone.zarr", settings=SETTINGS))
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        before = client.run(os.getpid)
        killed = False
        address = cluster.scheduler_address
        for event in predict(model, volume, tmp_path / "out.zarr", settings=SETTINGS, scheduler=address):
            if not killed and event.done >= event.total / 2:
                os.kill(next(iter(before.values())), signal.SIGKILL)
                killed = True
        assert killed
        assert (event.done, event.slices_done) == (event.total, 12)
    assert files_in(tmp_path / "out.zarr") == files_in(tmp_path / "alone.zarr")


@pytest.mark.slow
def test_workers_of_this_machine_go_on_with_what_one_process_began(
    model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "napari_dtn")
    volume, out = volume_from_array(LARGE, (30, 6, 6), "large"), tmp_path / "out.zarr"
    steps = predict(model, volume, out, settings=SETTINGS)
    next(event for event in steps if event.slice_done)
    steps.close()  # type: ignore[attr-defined]
    assert is_unfinished(out)
    events = list(predict(model, volume, out, settings=SETTINGS, workers=1))
    assert events[0].before > 0
    assert events[-1].done == events[-1].total
    assert "Dashboard: http" in caplog.text
    assert open_volume(out).data.compute().any(axis=(1, 2)).all()


def test_without_distributed_the_error_names_the_extra(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'napari-dtn\[cluster\]'"):
        predict(model, volume_from_array(LARGE), tmp_path / "out.zarr", settings=SETTINGS, workers=2)
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize(("name", "gpu"), [(0, 0), (5, 1), ("SLURMCluster-3", 3), ("somewhere", 0)])
def test_gpus_go_round(name: object, gpu: int) -> None:
    assert gpu_of(name, 4) == gpu
