"""The command line: each command is a call of the Python API, with a progress bar and readable errors."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from napari_dtn import __version__
from napari_dtn.settings import NetworkSettings, PredictSettings, Roi, TrainSettings, parse_range

if TYPE_CHECKING:
    from napari_dtn.predict import TileDone
    from napari_dtn.train import StepDone, TrainingData
    from napari_dtn.volume.opening import Volume

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

app = App(
    name="napari-dtn",
    help="Dense Transformer Networks for boundaries in electron microscopy volumes.",
    version=__version__,
)
# Results go to standard output; whatever is only for a person to read goes here.
console = Console(stderr=True)

VoxelSizeOption = Annotated[
    tuple[float, float, float] | None,
    Parameter(help="Voxel size Z Y X in nm, instead of what the file states.", negative=""),
]
JsonOption = Annotated[
    Path | None,
    Parameter(help="Write the result as JSON to this file; - is standard output.", allow_leading_hyphen=True),
]
Switch = Parameter(negative="")


@Parameter(name="*")
@dataclass(frozen=True)
class Box:
    """A box of the volume.

    Parameters
    ----------
    z, y, x
        Voxels of the volume as start:stop, for example 80:100; all of them by default.
    """

    z: str = ":"
    y: str = ":"
    x: str = ":"

    @property
    def roi(self) -> Roi:
        """The same as numbers."""
        return Roi(parse_range(self.z), parse_range(self.y), parse_range(self.x))


# ---- commands


@app.command
def demo(
    *,
    output: Annotated[Path, Parameter(alias="-o")] = Path("napari-dtn-demo"),
    headless: Annotated[bool, Switch] = False,
    model: str = "dtn-snemi3d",
    quick: Annotated[bool, Switch] = False,
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Predict a synthetic volume with the shipped model, score it, and show it in napari.

    Parameters
    ----------
    output
        Folder for the phantom, the prediction, the pictures and the scores; replaced by the next demo.
    headless
        Write pictures, OME-Zarr and scores, and open no window.
    model
        A bundled model, or a file.
    quick
        A smaller phantom.
    """
    from napari_dtn.demo import run_demo, show_demo

    with _progress("slices") as report:
        result = run_demo(
            output, model, quick, lambda event: report(_tile_text(event), event.done, event.total)
        )
    _say(f"Boundary ROC AUC on the phantom: {result['scores']['roc_auc']:.4f}. Written to {output}/")
    _write_json(result, json_)
    if not headless:
        _say("Opening napari; close its window to end.")
        show_demo(output)


@app.command
def info(
    path: str,
    *,
    voxel_size: VoxelSizeOption = None,
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Describe a model or a volume.

    Parameters
    ----------
    path
        A bundled model's name, a model file, or anything that opens as a volume.
    """
    from napari_dtn.nn.checkpoint import bundled_models

    is_model = path in bundled_models() or Path(path).suffix == ".safetensors"
    description = _describe_model(path) if is_model else _describe_volume(path, voxel_size)
    if json_ is None:
        for key, value in description.items():
            print(f"{key:>14}  {_plain(value)}")
    _write_json(description, json_)


@Parameter(name="*")
@dataclass(frozen=True)
class TrainingInput:
    """What to train on.

    Parameters
    ----------
    images, labels
        The volume, and what is known about it.
    labels_kind
        ids of neurites, a mask (non-zero = boundary), or classes (0 not annotated, 1 boundary, 2 inside).
    train_z, val_z
        Slices to train on, and slices only to score, as start:stop.
    voxel_size
        Voxel size Z Y X in nm, instead of what the file states.
    """

    images: str
    labels: str
    train_z: str
    val_z: str
    labels_kind: Literal["ids", "mask", "classes"] = "ids"
    voxel_size: VoxelSizeOption = None


@app.command
def train(
    data: TrainingInput,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    arch: Literal["dtn", "unet"] = "dtn",
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    network: Annotated[NetworkSettings, Parameter(name="*")] = NetworkSettings(),  # noqa: B008
    settings: Annotated[TrainSettings, Parameter(name="*")] = TrainSettings(),  # noqa: B008
    resume: Annotated[bool, Switch] = False,
    overwrite: Annotated[bool, Switch] = False,
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Train a model on annotated slices.

    Parameters
    ----------
    output
        The model, a .safetensors file. A checkpoint lies beside it until it is done.
    arch
        dtn, or unet for the same network without transformer pairs.
    from_
        A model to start from.
    resume
        Continue an interrupted training.
    overwrite
        Replace a model or checkpoint that is already there.
    """
    from napari_dtn.nn.checkpoint import load_model
    from napari_dtn.train import train

    shape = network if arch == "dtn" else replace(network, transformer_levels=())
    start = load_model(from_, settings.device) if from_ else None
    steps = train(
        _training_data(data),
        output,
        network=shape,
        settings=settings,
        start=start,
        resume=resume,
        overwrite=overwrite,
    )
    watch = _TrainingWatch()
    with _progress("iterations") as report:
        for event in _interruptible(steps):
            report(watch.text(event), event.iteration, event.iterations)
    _say(f"Written to {output}")
    _write_json({"output": str(output), **watch.summary}, json_)


@app.command
def predict(
    volume: str,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    model: str = "dtn-snemi3d",
    box: Box = Box(),
    voxel_size: VoxelSizeOption = None,
    settings: Annotated[PredictSettings, Parameter(name="*")] = PredictSettings(),  # noqa: B008
    overwrite: Annotated[bool, Switch] = False,
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Predict the boundaries of a volume into OME-Zarr.

    Parameters
    ----------
    volume
        TIFF stack, folder of slices, OME-Zarr, zarr or HDF5 (file.h5::/path).
    output
        Where to, a .zarr folder.
    model
        A bundled model, or a file.
    overwrite
        Replace an output that is already there.
    """
    from napari_dtn.nn.checkpoint import load_model
    from napari_dtn.predict import predict
    from napari_dtn.volume.opening import open_volume

    opened = open_volume(volume, voxel_size)
    tiles = predict(load_model(model, settings.device), opened, output, box.roi, settings, overwrite)
    with _progress("tiles") as report:
        for event in _interruptible(tiles):
            report(_tile_text(event), event.done, event.total)
    _say(f"{event.slices} slices in {event.elapsed:.1f} s ({event.rate:.2f} slices/s), written to {output}")
    result = {
        "output": str(output),
        "slices": event.slices,
        "seconds": event.elapsed,
        "slices_per_s": event.rate,
    }
    _write_json(result, json_)


@app.command
def evaluate(
    prediction: str,
    truth: str,
    *,
    kind: Literal["boundary", "labels"],
    box: Box = Box(),
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
    plot: Path | None = None,
) -> None:
    """Score a prediction against the truth.

    Parameters
    ----------
    prediction
        Boundary probabilities or labels; a predicted box is laid over the truth by its stored translation.
    truth
        Neurite ids; for a boundary also a bool mask.
    kind
        boundary (probabilities) or labels (ids).
    plot
        Draw the ROC and the precision-recall curve into this picture.
    """
    from napari_dtn.evaluate import evaluate
    from napari_dtn.volume.opening import open_volume

    result = evaluate(open_volume(prediction), open_volume(truth), kind, box.roi, plot)
    if json_ is None:
        for key, value in result.items():
            print(f"{key:>18}  {_plain(value)}")
    _write_json(result, json_)


# ---- what commands need


def _training_data(chosen: TrainingInput) -> TrainingData:
    from napari_dtn.patches import TrainingVolume
    from napari_dtn.train import TrainingData
    from napari_dtn.volume.intensity import estimate_intensity
    from napari_dtn.volume.lazy import in_memory
    from napari_dtn.volume.opening import open_volume

    image, labels = open_volume(chosen.images, chosen.voxel_size), open_volume(chosen.labels)
    volume = TrainingVolume(
        in_memory(image.data), in_memory(labels.data), chosen.labels_kind, estimate_intensity(image)
    )
    train_z, val_z = (_slices(text, image) for text in (chosen.train_z, chosen.val_z))
    return TrainingData(volume, train_z, val_z, image.name, image.voxel_size)


def _slices(text: str, volume: Volume) -> range:
    chosen = Roi(z=parse_range(text)).within(volume.shape)[0]
    return range(chosen.start, chosen.stop)


def _describe_model(path: str) -> dict[str, Any]:
    from napari_dtn.nn.checkpoint import find_model, load_model

    model = load_model(path, "cpu")
    file = find_model(path)
    return {
        "kind": "model",
        "path": str(file),
        "arch": model.card.network.arch,
        "parameters": sum(weight.numel() for weight in model.network.parameters()),
        "bytes": file.stat().st_size,
        "sha256": model.sha256,
        **model.card.to_json(),
    }


def _describe_volume(path: str, voxel_size: tuple[float, float, float] | None) -> dict[str, Any]:
    from napari_dtn.volume.intensity import estimate_intensity
    from napari_dtn.volume.opening import open_volume
    from napari_dtn.volume.writing import read_attributes

    volume = open_volume(path, voxel_size)
    return {
        "kind": "volume",
        "path": path,
        "shape": list(volume.shape),
        "dtype": str(volume.data.dtype),
        "voxel_size": volume.voxel_size,
        "translation": volume.translation,
        "levels": [list(level.shape) for level in volume.levels],
        "bytes": volume.data.nbytes,
        "intensity": asdict(estimate_intensity(volume)),
        "napari_dtn": read_attributes(path),
    }


class _TrainingWatch:
    """Turns steps into a line of text, and remembers the last validation."""

    def __init__(self) -> None:
        self.loss: float | None = None
        self.summary: dict[str, Any] = {}

    def text(self, event: StepDone) -> str:
        self.loss = event.loss if self.loss is None else 0.98 * self.loss + 0.02 * event.loss
        if event.validation:
            self.summary = {"iterations": event.iteration, "validation": asdict(event.validation)}
            self.summary["seconds"] = event.elapsed
            name, score = next(iter(_shown(event.validation.scores)))
            _say(f"{event.iteration:6d}  loss {self.loss:.4f}  validation {name} {score:.4f}")
        return f"loss {self.loss:.4f} · {event.rate:.2f} it/s · {_duration(event.eta)} left"


def _shown(scores: Any) -> Iterator[tuple[str, float]]:
    yield from ((name, scores[name]) for name in ("roc_auc", "mean_iou") if name in scores)


def _tile_text(event: TileDone) -> str:
    done = f"slice {event.slices_done} of {event.slices}"
    return f"{done} · {event.rate:.2f} slices/s · {_duration(event.eta)} left"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def _interruptible(events: Iterator[Any]) -> Iterator[Any]:
    """Stop between two events on Ctrl-C or SIGTERM; a second Ctrl-C stops at once."""
    asked: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _: Any) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _say("Stopping after this step ...")

    for number in before:
        signal.signal(number, ask)
    try:
        with closing(events):  # type: ignore[type-var]
            for event in events:
                yield event
                if asked:
                    raise KeyboardInterrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TextColumn("· {task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _write_json(result: Any, target: Path | None) -> None:
    if target is None:
        return
    text = json.dumps(result, indent=2)
    if str(target) == "-":
        print(text)
    else:
        target.write_text(text + "\n")


def _say(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)


# ---- start


def main(arguments: Iterable[str] | None = None) -> int:
    """Run a command; return 0 done, 1 failed, 2 bad usage or input, 130 interrupted."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "--verbose" in tokens
    _log(verbose)
    try:
        app([token for token in tokens if token != "--verbose"], exit_on_error=False, print_error=False)
    except KeyboardInterrupt:
        _say("Interrupted; what was finished is kept.")
        return INTERRUPTED
    except SystemExit as end:
        return int(end.code or 0)
    except Exception as error:
        if verbose:
            console.print_exception()
        _say(f"napari-dtn: {_one_line(error)}")
        return BAD_INPUT if isinstance(error, _BAD_INPUT) else FAILED
    return DONE


_BAD_INPUT = (
    CycloptsError,
    ValueError,
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _log(verbose: bool) -> None:
    handler = RichHandler(console=console, show_time=False, show_path=False, markup=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("napari_dtn").setLevel(logging.DEBUG if verbose else logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
