"""The commands."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from napari_dtn import __version__
from napari_dtn.cli.classes import scores_of_volume, scores_on_images
from napari_dtn.cli.options import (
    Box,
    JsonOption,
    Reading,
    Switch,
    TrainingInput,
    dataset_defaults,
)
from napari_dtn.cli.teaching import Target, is_teaching
from napari_dtn.cli.teaching import teach as teach_model
from napari_dtn.cli.terminal import TrainingWatch, interruptible, plain, progress, say, write_json
from napari_dtn.settings import (
    Device,
    FineTuneSettings,
    NetworkSettings,
    Precision,
    PredictSettings,
    Roi,
    SegmentSettings,
    TrainSettings,
    parse_range,
)
from napari_dtn.words import bad_slice_words, checked_words, duration, plan_words, progress_words

if TYPE_CHECKING:
    from napari_dtn.train import TrainingData, TrainingSource
    from napari_dtn.volume.opening import Volume

app = App(
    suppress_keyboard_interrupt=False,
    name="napari-dtn",
    help="Dense Transformer Networks for boundaries in electron microscopy volumes.",
    version=__version__,
    config=dataset_defaults,
)


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

    with progress("slices") as report:
        result = run_demo(
            output, model, quick, lambda event: report(progress_words(event), event.done, event.total)
        )
    say(f"Boundary ROC AUC on the phantom: {result['scores']['roc_auc']:.4f}. Written to {output}/")
    write_json(result, json_)
    if not headless:
        say("Opening napari; close its window to end.")
        show_demo(output)


@app.command
def info(
    path: str,
    *,
    reading: Reading = Reading(),
    bad_slices: bool = True,
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Describe a model or a volume.

    Parameters
    ----------
    path
        A bundled model's name, a model file, or anything that opens as a volume.
    bad_slices
        Look for black, saturated, blank, duplicated and shifted slices, in at most 500 slices.
    """
    description = _describe_model(path) if _is_model(path) else _describe_volume(path, reading, bad_slices)
    if json_ is None:
        for key, value in _in_words(description).items():
            print(f"{key:>14}  {plain(value)}")
    write_json(description, json_)


@app.command
def train(
    data: TrainingInput = TrainingInput(),
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    name: str = "",
    arch: Literal["dtn", "unet"] = "dtn",
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    teach: Annotated[FineTuneSettings, Parameter(name="teach")] = FineTuneSettings(),
    network: Annotated[NetworkSettings, Parameter(name="*")] = NetworkSettings(),
    settings: Annotated[TrainSettings, Parameter(name="*")] = TrainSettings(),
    resume: Annotated[bool, Switch] = False,
    overwrite: Annotated[bool, Switch] = False,
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Train a model on annotated slices, or on PASCAL VOC; or teach one by annotations.

    Parameters
    ----------
    output
        The model, a .safetensors file. A checkpoint lies beside it until it is done.
    name
        Instead of a file, for a model that annotations teach: its name in your library.
    arch
        dtn, or unet for the same network without transformer pairs.
    from_
        A model to start from. With --labels-kind classes, and without --train-z, annotations teach it: how
        follows from their amount, and --teach.minutes and the like may say otherwise.
    teach
        How annotations teach.
    resume
        Continue an interrupted training.
    overwrite
        Replace a model or checkpoint that is already there.
    """
    from napari_dtn.nn.checkpoint import load_model
    from napari_dtn.train import train

    if from_ and is_teaching(data, from_):
        target = Target(output, name)
        write_json(teach_model(data, from_, teach, target, resume, overwrite), json_)
        return
    if output is None or name:
        raise ValueError("--output M.safetensors is missing; --name is for a model that annotations teach.")
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
    watch = TrainingWatch()
    with progress("iterations") as report:
        for event in interruptible(steps):
            report(watch.text(event), event.iteration, event.iterations)
    say(f"Written to {output}")
    write_json({"output": str(output), **watch.summary}, json_)


@app.command
def predict(
    volume: str,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    model: str = "dtn-snemi3d",
    box: Box = Box(),
    reading: Reading = Reading(),
    settings: Annotated[PredictSettings, Parameter(name="*")] = PredictSettings(),
    overwrite: Annotated[bool, Switch] = False,
    workers: int = 0,
    scheduler: str = "",
    dry_run: Annotated[bool, Switch] = False,
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Predict the boundaries of a volume into OME-Zarr; the same command goes on with an unfinished output.

    Parameters
    ----------
    volume
        TIFF stack, folder of slices, OME-Zarr, zarr, HDF5 (file.h5::/path), N5, precomputed or MRC; a URL
        works too.
    output
        Where to, a .zarr folder.
    model
        A bundled model, or a file.
    overwrite
        Replace an output that is already there, finished or not.
    workers
        Processes of this machine that share the work, by dask.distributed.
    scheduler
        Address of a dask scheduler whose workers do the work.
    dry_run
        Say what would be done and what it would take, and write nothing.
    """
    from napari_dtn.nn.checkpoint import load_model
    from napari_dtn.predict import plan, predict
    from napari_dtn.volume.opening import open_volume

    opened = open_volume(volume, reading.voxel_size, reading.channel, reading.time)
    loaded = load_model(model, settings.device)
    if dry_run:
        planned = plan(loaded, opened, box.roi, settings)
        say(plan_words(planned))
        write_json(asdict(planned), json_)
        return
    tiles = predict(loaded, opened, output, box.roi, settings, overwrite, workers, scheduler)
    with progress("tiles") as report:
        for event in interruptible(tiles):
            report(progress_words(event), event.done, event.total)
    say(f"{event.slices} slices in {event.elapsed:.1f} s ({event.rate:.2f} slices/s), written to {output}")
    result = {
        "output": str(output),
        "slices": event.slices,
        "seconds": event.elapsed,
        "slices_per_s": event.rate,
    }
    write_json(result, json_)


@app.command
def segment(
    boundaries: str,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    into: Path | None = None,
    name: str = "objects",
    image: str | None = None,
    box: Box = Box(),
    settings: Annotated[SegmentSettings, Parameter(name="*")] = SegmentSettings(),
    overwrite: Annotated[bool, Switch] = False,
    workers: int = 0,
    scheduler: str = "",
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Turn boundaries into objects; the same command goes on with unfinished work.

    Parameters
    ----------
    boundaries
        What predict wrote, or any volume of probabilities.
    output
        Where the labels go, a .zarr folder.
    into
        Instead: an OME-Zarr image that gets them among its labels.
    name
        Of the labels in that image.
    image
        The volume that the boundaries were predicted from; its grey values make better objects.
    overwrite
        Replace labels that are already there, and begin unfinished work anew.
    workers
        Processes of this machine that share the work, by dask.distributed.
    scheduler
        Address of a dask scheduler whose workers do the work.
    """
    from napari_dtn.segmenting import segment_steps
    from napari_dtn.volume.opening import open_volume
    from napari_dtn.volume.writing import labels_place, list_labels, version_of

    if (output is None) == (into is None):
        raise ValueError("Say where the labels go: either --output LABELS.zarr or --into IMAGE.zarr.")
    target = output if output is not None else labels_place(into or Path(), name)
    steps = segment_steps(
        boundaries,
        target,
        image=None if image is None else open_volume(image),
        roi=box.roi,
        settings=settings,
        overwrite=overwrite,
        workers=workers,
        scheduler=scheduler,
        version="0.5" if into is None else version_of(into),
    )
    with progress("steps") as report:
        for event in interruptible(steps):
            report(f"{event.stage}, {duration(event.eta)} left", event.done, event.total)
    if into is not None:
        list_labels(into, name)
    say(f"{event.objects} objects in {event.elapsed:.1f} s, written to {target}")
    write_json({"output": str(target), "objects": event.objects, "seconds": event.elapsed}, json_)


@app.command
def export(
    model: str,
    *,
    to: Literal["onnx", "openvino", "bioimageio"],
    output: Annotated[Path, Parameter(alias="-o")],
    overwrite: Annotated[bool, Switch] = False,
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Write a model for other programs.

    Parameters
    ----------
    model
        A bundled model, or a file.
    to
        onnx (one .onnx file), openvino (an .xml file, its weights beside it as .bin) or bioimageio (a .zip
        package of the BioImage Model Zoo, with a sample).
    output
        Where to.
    overwrite
        Replace a file that is already there.
    """
    from napari_dtn.export import export
    from napari_dtn.nn.checkpoint import load_model

    files = export(load_model(model, "cpu"), to, output, overwrite)
    say(f"Written to {', '.join(map(str, files))}")
    write_json({"output": [str(file) for file in files], "format": to}, json_)


@app.command
def evaluate(
    prediction: str,
    truth: str,
    *,
    kind: Literal["boundary", "labels", "classes"],
    box: Box = Box(),
    device: Device = "auto",
    precision: Precision = "auto",
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
    plot: Path | None = None,
) -> None:
    """Score a prediction against the truth.

    Parameters
    ----------
    prediction
        Boundary probabilities, labels or class probabilities; a predicted box is laid over the truth by its
        stored translation. For classes also a model, which then predicts the val images of PASCAL VOC.
    truth
        Neurite ids; for a boundary also a bool mask; for classes a volume of class indices (255 is
        ignored), or the folder of PASCAL VOC.
    kind
        boundary (probabilities), labels (ids) or classes (a probability for each).
    device
        Where a model runs.
    precision
        What a model computes in; auto takes bfloat16 where the device does.
    plot
        Draw the ROC and the precision-recall curve of a boundary into this picture.
    """
    from napari_dtn.evaluate import evaluate
    from napari_dtn.volume.opening import open_volume

    if kind != "classes":
        result = evaluate(open_volume(prediction), open_volume(truth), kind, box.roi, plot)
    elif plot is not None:
        raise ValueError("plot draws the curves of a boundary; classes have none.")
    elif _is_model(prediction):
        result = scores_on_images(prediction, truth, box, device, precision)
    else:
        result = scores_of_volume(prediction, truth, box)
    if json_ is None:
        for key, value in result.items():
            print(f"{key:>18}  {plain(value)}")
    write_json(result, json_)


@app.command
def warp(
    volume: str,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    model: str = "dtn-snemi3d",
    box: Box = Box(),
    truth: str | None = None,
    reading: Reading = Reading(),
    settings: Annotated[PredictSettings, Parameter(name="*")] = PredictSettings(),
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Report what a model's warp does on a volume: displacement, area change against structure, fold-overs.

    Parameters
    ----------
    volume
        As for predict.
    output
        Folder for index.html, the figures and the tables.
    model
        A bundled model, or a file.
    truth
        Ids whose borders are the boundaries; otherwise the model's prediction says where they are.
    """
    from napari_dtn.nn.checkpoint import load_model
    from napari_dtn.predict import Predictor
    from napari_dtn.report import write_report
    from napari_dtn.report.page import summary_words
    from napari_dtn.volume.opening import open_volume

    opened = open_volume(volume, reading.voxel_size, reading.channel, reading.time)
    predictor = Predictor.of(load_model(model, settings.device), opened, settings)
    ids = None if truth is None else open_volume(truth).data
    with progress("slices") as report:
        for event in interruptible(write_report(predictor, output, box.roi, ids)):
            report("measuring", event.done, event.total)
    for summary in event.summaries:
        say(summary_words(summary))
    say(f"Written to {output}/index.html")
    write_json({"output": str(output), "levels": [asdict(one) for one in event.summaries]}, json_)


# ---- what commands need


def _training_data(chosen: TrainingInput) -> TrainingSource:
    volume_options = chosen.of_volume
    given = [name for name, value in volume_options.items() if value is not None]
    if chosen.dataset:
        from napari_dtn.train.voc import VocData

        given += ["--voxel-size"] if chosen.voxel_size else []
        if given:
            raise ValueError(f"{given[0]} belongs to a volume; leave it out, or leave out --dataset.")
        return VocData.of(chosen.dataset[1])
    missing = [name for name in volume_options if name not in given]
    if missing:
        raise ValueError(
            f"{', '.join(missing)} missing: train takes {', '.join(volume_options)}, or --dataset voc FOLDER."
        )
    return _volume_data(chosen)


def _volume_data(chosen: TrainingInput) -> TrainingData:
    from napari_dtn.patches import TrainingVolume
    from napari_dtn.train import TrainingData
    from napari_dtn.volume.intensity import estimate_intensity
    from napari_dtn.volume.lazy import in_memory
    from napari_dtn.volume.opening import open_volume

    images, ids, *ranges = (value for value in chosen.of_volume.values() if value is not None)
    image, labels = open_volume(images, chosen.voxel_size), open_volume(ids)
    volume = TrainingVolume(
        in_memory(image.data), in_memory(labels.data), chosen.labels_kind, estimate_intensity(image)
    )
    train_z, val_z = (_slices(text, image) for text in ranges)
    return TrainingData(volume, train_z, val_z, image.name, image.voxel_size)


def _slices(text: str, volume: Volume) -> range:
    chosen = Roi(z=parse_range(text)).within(volume.shape)[0]
    return range(chosen.start, chosen.stop)


def _is_model(path: str) -> bool:
    from napari_dtn.nn.bundled import named_model

    return named_model(path) is not None or Path(path).suffix == ".safetensors"


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


def _describe_volume(path: str, reading: Reading, bad_slices: bool) -> dict[str, Any]:
    from napari_dtn.volume.intensity import estimate_intensity
    from napari_dtn.volume.opening import holds_ids, open_volume
    from napari_dtn.volume.writing import read_attributes

    volume = open_volume(path, reading.voxel_size, reading.channel, reading.time)
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
        **(_describe_slices(volume) if bad_slices and not holds_ids(volume) else {}),
    }


def _in_words(description: dict[str, Any]) -> dict[str, Any]:
    """Return a description with its bad slices as a person would name them."""
    from napari_dtn.volume.defects import BadSlice

    if "bad_slices" not in description:
        return description
    bad = [bad_slice_words(BadSlice(**one)) for one in description["bad_slices"]]
    return {**description, "bad_slices": "; ".join(bad) or "none"}


def _describe_slices(volume: Volume) -> dict[str, Any]:
    from napari_dtn.volume.defects import check_slices

    with progress("slices") as report:
        for check in check_slices(volume):
            report("looking for bad slices", check.done, check.total)
    assert check.report is not None
    return {
        "bad_slices": [asdict(bad) for bad in check.report.bad],
        "slices_checked": checked_words(check.report),
    }
