"""How much of a backend's speed the prediction engine keeps, in how much memory, and what a petabyte takes.

    python benchmarks/engine.py [--quick] [--json PATH] [--model NAME_OR_FILE]

Throughput: the bare backend on batches that lie in memory; the engine on the same tiles, from a zarr on disk
into an OME-Zarr on disk; MONAI's sliding_window_inference with the same network and as many tiles, once from
and into memory, which is less than what the engine does, and once given the same task, from the zarr into the
OME-Zarr (``pip install --no-deps monai``; its rows are left out where it is missing). They take turns, and
each figure is the median of its rounds. Goal: the engine at 0.90 of the bare backend or more, and ahead of
MONAI.

Overhead: processor time of the engine for a slice of 1024 x 1024, all threads together, with a stand-in for
the network that costs next to nothing.

Memory: peak resident memory of a process that predicts a virtual volume, with a stand-in for the network
that costs nothing, when Y and X each grow tenfold and when Z grows a hundredfold. Goal: 1.1 or less.

Scale: what 1 TB and 1 PB would take, from the constants of the rows before.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import common
import numpy as np
import torch
import zarr

from napari_dtn.durable import make_durable
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.phantom import PhantomSettings, make_phantom
from napari_dtn.predict import Predictor, as_uint8
from napari_dtn.predict.blocks import Block, cut_into_blocks
from napari_dtn.predict.output import CHUNK, open_output
from napari_dtn.predict.whole import wanted_output
from napari_dtn.settings import PredictSettings, Roi
from napari_dtn.volume.intensity import normalise
from napari_dtn.volume.lazy import with_neighbours
from napari_dtn.volume.opening import open_volume, volume_from_array
from napari_dtn.volume.tiles import TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, QUICK_ROUNDS = 5, 2
SLICES, QUICK_SLICES = (16, 1024, 1024), (1, 1024, 1024)
GROWTH = {"Y and X": ((1, 6554, 6554), (1, 65536, 65536)), "Z": ((10, 1024, 1024), (1000, 1024, 1024))}
QUICK_GROWTH = {"Y and X": ((1, 400, 400), (1, 4000, 4000)), "Z": ((1, 400, 400), (100, 400, 400))}
VOLUMES = {"1 TB": (25_000, 6400, 6400), "1 PB": (24_414, 204_800, 204_800)}  # uint8, (Z, Y, X)


def main() -> None:
    """Run the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--model", default="dtn-snemi3d")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument(
        "--virtual", nargs=3, type=int, help=argparse.SUPPRESS
    )  # a process of the memory rows
    options = parser.parse_args()
    if options.virtual:
        print(peak_memory(options.model, tuple(options.virtual), options.seed))
        return
    rows = throughput(options)
    rows += overhead(options)
    rows += memory(options) + scheduler(options)
    rows += scale(rows)
    common.report([_same_columns(row) for row in rows], options)


def _same_columns(row: dict[str, Any]) -> dict[str, Any]:
    names = ("part", "what", "value", "unit", "ratio", "note")
    return {name: row.get(name, "") for name in names}


# ---- throughput


def throughput(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Let the contenders take turns on the same slices."""
    shape = QUICK_SLICES if options.quick else SLICES
    phantom = make_phantom(PhantomSettings(shape=(1, 512, 512), seed=options.seed)).image
    image = np.tile(phantom, (shape[0], 2, 2))
    settings = PredictSettings(backend=options.backend, precision=options.precision)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "image.zarr"
        zarr.create_array(str(source), shape=shape, chunks=(1, 256, 256), dtype="u1")[:] = image
        predictor = Predictor.of(load_model(options.model), open_volume(source, (30, 6, 6)), settings)
        contenders = _contenders(predictor, image, Path(folder) / "out.zarr")
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(1 + (QUICK_ROUNDS if options.quick else ROUNDS)):
            for name, work in contenders.items():
                began = time.perf_counter()
                work()
                if number:  # the first round warms up
                    seconds[name].append(time.perf_counter() - began)
        stored = sum(file.stat().st_size for file in (Path(folder) / "out.zarr").rglob("*") if file.is_file())
    return _throughput_rows(predictor, seconds, stored / image.size)


def _contenders(predictor: Predictor, image: np.ndarray, out: Path) -> dict[str, Callable[[], object]]:
    whole = Block(0, *(slice(0, side) for side in image.shape))
    batches = list(predictor.source.batches([whole], predictor.grid, predictor.settings.batch_size))
    return {
        "bare backend": lambda: [predictor.run(batch) for batch in batches],
        "engine": lambda: list(predictor.write(out, overwrite=True)),
        **_monai(predictor, image, out.with_name("monai.zarr")),
    }


def _monai(predictor: Predictor, image: np.ndarray, out: Path) -> dict[str, Callable[[], object]]:
    """MONAI as it comes, memory to memory; and MONAI given the engine's task, but for resuming."""
    try:
        from monai.inferers import sliding_window_inference
    except ImportError:
        return {}
    grid, context = predictor.grid, predictor.model.card.network.context
    everything = slice(None)

    def seen(array: Any, z: int) -> torch.Tensor:
        window = with_neighbours(array, z, everything, everything, context)
        return torch.from_numpy(normalise(window, predictor.intensity))[None]

    @torch.inference_mode()
    def infer(one: torch.Tensor, run: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        size, share = (grid.size, grid.size), grid.overlap / grid.size
        batch = predictor.settings.batch_size
        return sliding_window_inference(one, size, batch, run, overlap=share, mode="gaussian")

    def same_task() -> None:
        output = open_output(out, wanted_output(predictor, Roi().within(image.shape)), overwrite=True)
        array = output.store.array
        for z in range(len(image)):
            array[z] = as_uint8(infer(seen(predictor.volume.data, z), predictor.runner).numpy()[0, 0])
        make_durable(out, out.rglob("*"))
        output.finish({})

    slices = [seen(image, z) for z in range(len(image))]
    _check_tiles(grid, lambda run: infer(slices[0], run))
    return {
        "MONAI, memory to memory": lambda: [infer(one, predictor.runner) for one in slices],
        "MONAI, same task": same_task,
    }


def _check_tiles(grid: TileGrid, infer: Callable[[Callable[[torch.Tensor], torch.Tensor]], object]) -> None:
    """Stop where MONAI does not cut a slice into as many tiles as the engine."""
    counts: list[int] = []

    def count(tiles: torch.Tensor) -> torch.Tensor:
        counts.append(len(tiles))
        return tiles[:, :1]

    infer(count)
    if sum(counts) != grid.counts[0] * grid.counts[1]:
        raise SystemExit(f"MONAI computes {sum(counts)} tiles a slice, the engine {grid.counts}.")


def _throughput_rows(
    predictor: Predictor, seconds: dict[str, list[float]], stored: float
) -> list[dict[str, Any]]:
    z, height, width = predictor.volume.shape
    tiles = len(predictor.grid.over(slice(0, height), slice(0, width))) * z
    medians = {name: float(np.median(several)) for name, several in seconds.items()}
    settings = predictor.settings
    note = f"{predictor.model.card.name}, {settings.backend}, {settings.precision}"
    rows = [
        {
            "part": "throughput",
            "what": name,
            "value": tiles / median,
            "unit": "tiles/s",
            "ratio": medians["bare backend"] / median,
            "note": note,
        }
        for name, median in medians.items()
    ]
    size = {"part": "storage", "what": "output", "value": stored, "unit": "bytes/voxel", "note": "phantom"}
    return [*rows, size]


# ---- overhead


def overhead(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure what a slice costs beside the network; the second of two runs."""
    count = 4 if options.quick else 20
    phantom = make_phantom(PhantomSettings(shape=(1, 512, 512), seed=options.seed)).image
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "image.zarr", Path(folder) / "out.zarr"
        shape = (count, 1024, 1024)
        zarr.create_array(str(source), shape=shape, chunks=(1, 256, 256), dtype="u1")[:] = np.tile(
            phantom, (count, 2, 2)
        )
        predictor = Predictor.of(load_model(options.model), open_volume(source, (30, 6, 6)))
        stand_in = replace(predictor, runner=lambda tiles: torch.sigmoid(tiles[:, :1]))
        for _ in range(2):
            began = time.process_time()
            list(stand_in.write(out, overwrite=True))
            seconds = time.process_time() - began
    return [
        {"part": "overhead", "what": "engine", "value": 1000 * seconds / count, "unit": "CPU ms/slice"},
    ]


# ---- memory


class Virtual:
    """A volume that is computed where it is looked at."""

    ndim, dtype, chunks = 3, np.dtype("u1"), (1, 512, 512)

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        z, y, x = (np.arange(size)[one] % 251 for one, size in zip(key, self.shape, strict=True))
        plane = np.add.outer((y * 7).astype(np.uint8), (x * 3).astype(np.uint8))
        return np.add.outer(z.astype(np.uint8), plane)


def peak_memory(model: str, shape: tuple[int, ...], seed: int) -> int:
    """Predict a virtual volume in this process; return its peak resident memory in KiB."""
    volume = volume_from_array(Virtual(shape), (30, 6, 6))
    predictor = Predictor.of(load_model(model), volume, PredictSettings(batch_size=32, threads=1))
    stand_in = replace(predictor, runner=lambda tiles: torch.sigmoid(tiles[:, :1]))
    torch.manual_seed(seed)
    maps, side = predictor.model.card.network.input_maps, predictor.grid.size
    predictor.runner(torch.zeros(4, maps, side, side))  # what a network keeps
    with tempfile.TemporaryDirectory() as folder:
        for _ in stand_in.write(Path(folder) / "out.zarr"):
            pass
    # Not ru_maxrss, which begins with the peak of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def memory(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure the peak of small and large volumes, a process each."""
    rows = []
    for axes, shapes in (QUICK_GROWTH if options.quick else GROWTH).items():
        first = 0
        for shape in shapes:
            command = [sys.executable, __file__, "--model", options.model, "--virtual", *map(str, shape)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peak = int(done.stdout.split()[-1])
            first = first or peak
            what = f"{axes}: {' x '.join(map(str, shape))}"
            rows.append(
                {"part": "memory", "what": what, "value": peak / 1024, "unit": "MiB", "ratio": peak / first}
            )
    return rows


# ---- scheduler


def scheduler(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time what a block costs the scheduler: tasks that do nothing, handed out like blocks."""
    try:
        from distributed import Client, LocalCluster, as_completed
    except ImportError:
        return []
    count = 500 if options.quick else 5000
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.gather([client.submit(abs, number, pure=False) for number in range(20)])  # warms up
        began = time.perf_counter()
        numbers = iter(range(count))
        completed = as_completed([client.submit(abs, next(numbers), pure=False) for _ in range(6)])
        for _ in completed:
            number = next(numbers, None)
            if number is not None:
                completed.add(client.submit(abs, number, pure=False))
        seconds = time.perf_counter() - began
    return [
        {"part": "scheduler", "what": "tasks that do nothing", "value": count / seconds, "unit": "tasks/s"}
    ]


# ---- scale


def scale(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say what large volumes would take, with one worker like this machine."""
    speed = next(row["value"] for row in rows if row["what"] == "engine")
    stored = next(row["value"] for row in rows if row["part"] == "storage")
    found = []
    for name, shape in VOLUMES.items():
        grid = TileGrid(shape[1], shape[2], 224, PredictSettings().overlap)
        blocks = cut_into_blocks(Roi().within(shape), grid, (1, CHUNK, CHUNK))
        hours = blocks.tiles / speed / 3600
        figures = {
            "blocks": (len(blocks), ""),
            "tiles": (blocks.tiles, ""),
            "computed twice": (100 * blocks.twice, "%"),
            "worker hours": (hours, "h"),
            "storage": (stored * float(np.prod(shape, dtype=float)) / 1e12, "TB"),
            "files": (float(shape[0]) * -(-shape[1] // CHUNK) * -(-shape[2] // CHUNK) / 1e6, "million"),
            "tasks a second, 1000 workers": (len(blocks) / hours * 1000 / 3600, "1/s"),
        }
        found += [
            {"part": f"scale {name}", "what": what, "value": value, "unit": unit}
            for what, (value, unit) in figures.items()
        ]
    return found


if __name__ == "__main__":
    main()
