"""Model x images of PASCAL VOC -> the probability of every class at every pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dtn.nn.backends import make_runner
from napari_dtn.nn.checkpoint import Model
from napari_dtn.settings import Precision
from napari_dtn.voc import CLASS_NAMES, Bytes, VocFolder, normalised, resized

_BATCH = 8


@dataclass(frozen=True)
class ClassifiedImage:
    """An image and its classes, in the size that the model was trained on, and what the model says.

    Parameters
    ----------
    name
        In VOC's lists.
    image
        Colours, ``(S, S, 3)``.
    truth
        Class indices, or ``voc.VOID``, ``(S, S)``.
    probability
        Of each class, ``(C, S, S)`` in [0, 1].
    """

    name: str
    image: Bytes
    truth: Bytes
    probability: NDArray[np.float32]

    @property
    def classes(self) -> Bytes:
        """The most probable class of each pixel, ``(S, S)``."""
        best: Bytes = self.probability.argmax(axis=0).astype(np.uint8)
        return best


def classify(
    model: Model, folder: VocFolder, names: Sequence[str], precision: Precision = "auto"
) -> Iterator[ClassifiedImage]:
    """Classify images, each as a whole in the model's patch size; iterate to make it happen.

    Parameters
    ----------
    model
        Of VOC's classes.
    folder
        From :func:`napari_dtn.voc.open_voc`.
    names
        Images of it.
    precision
        ``auto`` is bfloat16 where the device computes in it.

    Raises
    ------
    ValueError
        The model is of something else, or a file of the folder is wrong.
    """
    card = model.card
    if card.class_names != CLASS_NAMES or card.network.in_channels != 3:
        raise ValueError(
            f"{card.name} predicts {', '.join(card.class_names)}, and not the {len(CLASS_NAMES)} classes of "
            "PASCAL VOC; train one that does with napari-dtn train --dataset voc."
        )
    runner = make_runner(model, "eager", precision)
    waiting = iter(names)
    while some := list(islice(waiting, _BATCH)):
        pairs = [resized(*folder.read(name), card.patch_size, card.patch_size) for name in some]
        tiles = torch.from_numpy(np.stack([normalised(image) for image, _ in pairs]))
        for name, pair, probability in zip(some, pairs, runner(tiles).numpy(), strict=True):
            yield ClassifiedImage(name, *pair, probability)
