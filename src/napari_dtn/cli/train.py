"""The command train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from napari_dtn.cli.opening import open_alone
from napari_dtn.cli.options import JsonOption, Switch, TrainingInput
from napari_dtn.cli.teaching import Target, is_teaching
from napari_dtn.cli.teaching import teach as teach_model
from napari_dtn.cli.terminal import TrainingWatch, check_target, interruptible, progress, say, write_json
from napari_dtn.settings import (
    FineTuneSettings,
    NetworkSettings,
    Roi,
    TrainSettings,
    changed_fields,
    parse_range,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_dtn.nn.checkpoint import Model
    from napari_dtn.train import TrainingData, TrainingSource
    from napari_dtn.volume.opening import Volume


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
    from napari_dtn.nn.checkpoint import check_savable, load_model
    from napari_dtn.train import check_output, checkpoint_of, train
    from napari_dtn.volume.guarding import check_apart

    check_target(json_, *data.paths, from_)
    if output is not None:
        if not output.is_dir():
            check_apart(output, *data.paths)
        check_savable(output, overwrite=True)  # whether it may be replaced depends on what is trained
    data = _with_kind(data)
    if from_ and is_teaching(data, from_):
        _refuse_ignored({**changed_fields(settings), **changed_fields(network)})
        target = Target(output, name)
        write_json(teach_model(data, from_, teach, target, resume, overwrite), json_)
        return
    if output is None or name:
        raise ValueError("--output M.safetensors is missing; --name is for a model that annotations teach.")
    check_output(output, resume, overwrite)
    if resume and not checkpoint_of(output).exists():
        say(f"There is no {checkpoint_of(output)} to go on with: the training begins anew.")
    start = load_model(from_, settings.device) if from_ else None
    shape = _shape(network, arch, data, start)
    steps = train(
        _training_data(data, shape.n_classes),
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


def _with_kind(chosen: TrainingInput) -> TrainingInput:
    """Let labels say what they are: annotations are classes, whatever else there is are ids."""
    from napari_dtn.volume.content import check_ids, is_annotation

    if chosen.labels is None or chosen.labels_kind == "classes":
        return chosen
    if chosen.labels_kind is None and is_annotation(chosen.labels):
        say(f"{chosen.labels} is an annotation: --labels-kind classes.")
        return replace(chosen, labels_kind="classes")
    check_ids(chosen.labels)
    return chosen


def _refuse_ignored(changed: Iterable[str]) -> None:
    ignored = [f"--{name.replace('_', '-')}" for name in changed]
    if ignored:
        raise ValueError(
            f"{', '.join(ignored)} would be ignored: annotations teach by a plan that follows from their "
            "amount. Leave it out, or see --teach.iterations, --teach.device and the like."
        )


def _shape(
    network: NetworkSettings, arch: str, chosen: TrainingInput, start: Model | None
) -> NetworkSettings:
    """Return the network that is trained; that of a model to start from cannot be another."""
    shape = network if arch == "dtn" else replace(network, transformer_levels=())
    if chosen.labels_kind == "classes" and shape.n_classes == 1 and len(chosen.classes) > 2:
        shape = replace(shape, n_classes=len(chosen.classes))
    if start is None:
        return shape
    there = start.card.network
    other = [name for name, value in changed_fields(shape).items() if value != getattr(there, name)]
    if other:
        wrong = ", ".join(f"{name} is {getattr(there, name)}" for name in other)
        raise ValueError(f"A model goes on with the network that it has: of {start.card.name} {wrong}.")
    return there


def _training_data(chosen: TrainingInput, n_classes: int) -> TrainingSource:
    volume_options = chosen.of_volume
    given = [name for name, value in volume_options.items() if value is not None]
    if chosen.dataset:
        from napari_dtn.train.voc import VocData

        more = {"--voxel-size": chosen.voxel_size, "--channel": chosen.channel, "--time": chosen.time}
        given += [name for name, value in more.items() if value is not None]
        if given:
            raise ValueError(f"{given[0]} belongs to a volume; leave it out, or leave out --dataset.")
        return VocData.of(chosen.dataset[1])
    missing = [name for name in volume_options if name not in given]
    if missing:
        raise ValueError(
            f"{', '.join(missing)} missing: train takes {', '.join(volume_options)}, or --dataset voc FOLDER."
        )
    return _volume_data(chosen, n_classes)


def _volume_data(chosen: TrainingInput, n_classes: int) -> TrainingData:
    from napari_dtn.patches import TrainingVolume
    from napari_dtn.train import TrainingData
    from napari_dtn.volume.intensity import estimate_intensity
    from napari_dtn.volume.lazy import in_memory

    images, ids, *ranges = (value for value in chosen.of_volume.values() if value is not None)
    image = chosen.reading.open(images)
    known, kind = in_memory(open_alone(ids).data), chosen.labels_kind or "ids"
    volume = TrainingVolume(in_memory(image.data), known, kind, estimate_intensity(image))
    train_z, val_z = (_slices(text, image) for text in ranges)
    named = chosen.classes if chosen.labels_kind == "classes" else ()
    if n_classes > 1 and named == TrainingInput().classes:
        named = ()  # those of a boundary model: nobody has named them
    return TrainingData(volume, train_z, val_z, image.name, image.voxel_size, named)


def _slices(text: str, volume: Volume) -> range:
    chosen = Roi(z=parse_range(text)).within(volume.shape)[0]
    return range(chosen.start, chosen.stop)
