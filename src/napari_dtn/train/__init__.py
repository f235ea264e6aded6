"""Model x patches -> checkpoint: training as a generator of steps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from napari_dtn.nn.checkpoint import Model
from napari_dtn.settings import NetworkSettings, TrainSettings
from napari_dtn.train.data import TrainingData, TrainingSource
from napari_dtn.train.run import StepDone, Training, check_output, checkpoint_of
from napari_dtn.train.validation import Validation, validate

__all__ = [
    "StepDone",
    "Training",
    "TrainingData",
    "TrainingSource",
    "Validation",
    "check_output",
    "checkpoint_of",
    "train",
    "validate",
]


def train(
    data: TrainingSource,
    output: str | Path,
    *,
    network: NetworkSettings | None = None,
    settings: TrainSettings | None = None,
    start: Model | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Iterator[StepDone]:
    """Train a model; iterate to make it happen, stop iterating to interrupt it.

    A resumable checkpoint lies beside the output while training goes on; it is written every
    ``settings.checkpoint_seconds``, and when the generator is closed early. Resumed, the training ends with
    the same weights as one that was never interrupted. The patches of step n depend on
    the seed and n alone, and so does the learning rate.

    Parameters
    ----------
    data
        What to train on, and what to hold back: :class:`TrainingData` of a volume, or
        :class:`napari_dtn.train.voc.VocData`.
    output
        The model's ``.safetensors`` file, written at the end.
    network
        Shape of the network; that of ``start`` where given.
    settings
        How to train.
    start
        A model to start from instead of random weights.
    resume
        Continue from the checkpoint of an interrupted training, where there is one.
    overwrite
        Replace a model or checkpoint that is already there.

    Yields
    ------
    StepDone
        After every optimiser step.

    Raises
    ------
    FileExistsError
        There is a model or checkpoint already, and neither ``resume`` nor ``overwrite`` is set.
    ValueError
        The network does not fit the data, the checkpoint belongs to a training with other settings, or the
        output does not end in ``.safetensors``.
    IsADirectoryError, NotADirectoryError, PermissionError
        The output is a folder, or its folder cannot be made or written in.
    """
    settings = settings or TrainSettings()
    shape = start.card.network if start else network or NetworkSettings()
    run = Training(data, Path(output), shape, settings, start)
    run.claim(resume, overwrite)
    return run.steps()
