"""``evaluate --kind classes``: what a model says about images, or what was predicted of a volume, scored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_dtn.cli.opening import open_alone
from napari_dtn.cli.options import Box
from napari_dtn.cli.terminal import interruptible, progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_dtn.settings import Device, Precision


def scores_on_images(
    model: str, folder: str, box: Box, device: Device, precision: Precision
) -> dict[str, Any]:
    """Let a model predict the val images of PASCAL VOC, and score them in the model's patch size."""
    from napari_dtn.classify import classify
    from napari_dtn.evaluate import class_scores
    from napari_dtn.nn.checkpoint import load_model
    from napari_dtn.voc import open_voc

    if box != Box():
        raise ValueError("--z, --y and --x choose a box of a volume; images are scored as a whole.")
    loaded, images = load_model(model, device), open_voc(folder)
    names = images.names("val")
    with progress("images") as report:

        def pairs() -> Iterator[tuple[Any, Any]]:
            for number, one in enumerate(interruptible(classify(loaded, images, names, precision)), 1):
                report(one.name, number, len(names))
                yield one.probability, one.truth

        scores = class_scores(pairs(), loaded.card.class_names)
    size = loaded.card.patch_size
    return {"kind": "classes", "split": "val", "n_images": len(names), "size": [size, size], **scores}


def scores_of_volume(prediction: str, truth: str, box: Box) -> dict[str, Any]:
    """Score the class maps that were predicted of a volume against a volume of class indices."""
    from napari_dtn.evaluate import evaluate_classes
    from napari_dtn.volume.opening import open_volume
    from napari_dtn.volume.writing import read_attributes

    names = read_attributes(prediction).get("class_names")
    if not names:
        raise ValueError(
            f"{prediction} does not name its classes; give what napari-dtn predict wrote, or a model."
        )
    channels = [open_volume(prediction, channel=number) for number in range(len(names))]
    return evaluate_classes(channels, names, open_alone(truth), box.roi)
