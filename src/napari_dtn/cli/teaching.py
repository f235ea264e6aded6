"""``train --from MODEL --labels-kind classes``: annotations teach a model, by the product's own plan."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dtn.cli.opening import open_alone
from napari_dtn.cli.options import TrainingInput
from napari_dtn.cli.terminal import interruptible, progress, say
from napari_dtn.settings import FineTuneSettings
from napari_dtn.words import duration

if TYPE_CHECKING:
    from napari_dtn.nn.checkpoint import ModelCard
    from napari_dtn.teach.data import TeachData
    from napari_dtn.teach.events import Scored, Stepped
    from napari_dtn.teach.finetune import TeachRun
    from napari_dtn.teach.preflight import Remark


@dataclass(frozen=True)
class Target:
    """Where the taught model goes: a file, or a name in the user's library."""

    output: Path | None
    name: str

    def __post_init__(self) -> None:
        if (self.output is None) == (not self.name):
            raise ValueError("Say where the model goes: either --output M.safetensors or --name NAME.")

    @property
    def folder(self) -> Path:
        """Where the run keeps its state: beside the file, or in the library."""
        if self.output:
            return self.output.with_suffix(".teaching")
        from napari_dtn.nn.bundled import library_folder

        return library_folder() / ".training" / self.name


def is_teaching(chosen: TrainingInput, parent: str | None) -> bool:
    """Whether a command is about annotations: it names a parent and classes, and no slices."""
    slices = chosen.train_z or chosen.val_z
    return parent is not None and chosen.labels_kind == "classes" and not slices and not chosen.dataset


def teach(
    chosen: TrainingInput,
    parent: str,
    settings: FineTuneSettings,
    target: Target,
    resume: bool,
    overwrite: bool,
) -> dict[str, Any]:
    """Teach a model, and write it or keep it; return what is said of it as JSON."""
    from napari_dtn.nn.checkpoint import load_model
    from napari_dtn.teach.finetune import TeachRequest, finetune
    from napari_dtn.teach.forgetting import phantom_auc, remembered

    _check(target, resume, overwrite)
    model = load_model(parent, settings.device)
    data = _data(chosen, model.card)
    if overwrite:
        shutil.rmtree(target.folder, ignore_errors=True)
    before = phantom_auc(model)
    run = finetune(TeachRequest(model, data, target.folder, settings), resume)
    _follow(run)
    after = phantom_auc(run.best())
    if not math.isnan(after):
        say(f"Phantom: score {before:.4f} before, {after:.4f} after")
    return _summary(_keep(run, target, remembered(before, after)))


def _check(target: Target, resume: bool, overwrite: bool) -> None:
    """Refuse, before anything is read, what could not be written at the end, or would be lost."""
    from napari_dtn.nn.checkpoint import check_savable
    from napari_dtn.teach.library import check_name
    from napari_dtn.train import check_output

    if target.output:
        check_savable(target.output, overwrite)
    else:
        check_name(target.name)
    latest = target.folder / "latest.safetensors"
    check_output(latest, resume, overwrite or resume)
    if resume and not any(target.folder.glob(f"{latest.stem}.*")):
        say(f"There is no unfinished training in {target.folder} to go on with: it begins anew.")


def _follow(run: TeachRun) -> None:
    """Train, and tell how it goes."""
    from napari_dtn.teach.events import Ended, Scored, Started, Stepped

    with progress("steps") as report:
        for event in interruptible(run.events()):
            if isinstance(event, Started):
                say("\n".join(event.words))
            elif isinstance(event, Stepped):
                report(_step_words(event), event.iteration, event.iterations)
            elif isinstance(event, Scored):
                say(_scored_words(event))
            elif isinstance(event, Ended):
                say(f"Ended: {event.why}.")


def _step_words(event: Stepped) -> str:
    return f"loss {event.loss:.4f} · {duration(event.eta)} left at most"


def _scored_words(event: Scored) -> str:
    best = ", the best so far" if event.best else ""
    return f"{event.iteration:6d}  held out: score {event.val_auc:.4f}, loss {event.val_loss:.4f}{best}"


def _keep(run: TeachRun, target: Target, measured: dict[str, Any]) -> Path:
    """Keep the best, with what was measured: as a version in the library, or as a file."""
    from napari_dtn.teach.library import Library

    if target.name:
        version = run.keep(target.name, Library(), measured)
        say(f"Kept as {version.name}, version of {version.date}")
        return version.path
    assert target.output is not None
    run.write(target.output, measured)
    say(f"Written to {target.output}")
    return target.output


def _summary(file: Path) -> dict[str, Any]:
    from napari_dtn.nn.checkpoint import load_card

    card = load_card(file)
    told = {name: card.training[name] for name in ("parent", "iterations", "seconds")}
    return {"output": str(file), **told, **card.scores}


def _data(chosen: TrainingInput, parent: ModelCard) -> TeachData:
    from napari_dtn.teach.data import TeachData
    from napari_dtn.teach.past import taught_before
    from napari_dtn.teach.preflight import preflight
    from napari_dtn.teach.splitting import split
    from napari_dtn.volume.intensity import estimate_intensity
    from napari_dtn.volume.lazy import in_memory

    missing = [name for name in ("--images", "--labels") if not chosen.of_volume[name]]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing: give the volume and its annotation.")
    image = chosen.reading.open(str(chosen.images))
    labels = open_alone(str(chosen.labels))
    known, taught = in_memory(labels.data), taught_before([parent], image.name, image.shape)
    regions, held_out = split(known, len(chosen.classes), taught)
    remarks = preflight(
        image.shape,
        known,
        chosen.classes,
        voxel_size=image.voxel_size,
        trained_on=parent.voxel_size,
        held_out=held_out,
        taught=taught,
    )
    _heed(remarks)
    return TeachData(
        in_memory(image.data),
        known,
        estimate_intensity(image),
        held_out,
        regions,
        chosen.classes,
        image.name,
        image.voxel_size,
    )


def _heed(remarks: list[Remark]) -> None:
    """Say what is wrong with the annotation, and stop where training would learn nothing."""
    for remark in remarks:
        if remark.kind == "stop":
            raise ValueError(f"{remark.words} {remark.remedy}")
        say(f"{remark.words} {remark.remedy}")
