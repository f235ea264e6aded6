"""Folders in the layout of PASCAL VOC: small made-up ones, and one of the real images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

VOID = 255


def colour_map() -> np.ndarray:
    """The palette as VOC's development kit defines it: the bits of the index, dealt out to the colours."""
    index, channel = np.arange(256)[:, None], np.arange(3)
    return sum(((index >> (3 * place + channel)) & 1) << (7 - place) for place in range(3)).astype(np.uint8)


def write_image(root: Path, name: str, image: np.ndarray, classes: np.ndarray, mode: str = "P") -> None:
    target = Image.fromarray(classes)
    if mode == "P":
        target.putpalette(colour_map().ravel().tolist())
    for folder, picture, suffix in (
        ("JPEGImages", Image.fromarray(image), "jpg"),
        ("SegmentationClass", target, "png"),
    ):
        (root / folder).mkdir(parents=True, exist_ok=True)
        picture.save(root / folder / f"{name}.{suffix}", **({"quality": 95} if suffix == "jpg" else {}))


def write_list(root: Path, split: str, names: Iterable[str]) -> None:
    folder = root / "ImageSets" / "Segmentation"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))


def scene(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright cat (8) or person (15) with a void rim, on a dark ground; every scene has another size."""
    height, width = 60 + 7 * number, 90 - 5 * number
    classes = np.zeros((height, width), np.uint8)
    y, x = 5 + 3 * number, 10
    classes[y : y + 30, x : x + 40] = VOID
    classes[y + 2 : y + 28, x + 2 : x + 38] = (8, 15)[number % 2]
    shade = np.where(classes == 0, 30, 220).astype(np.uint8)
    return np.stack([shade, shade, 255 - shade], axis=-1), classes


def made_up(root: Path, count: int = 6, held_out: int = 2) -> Path:
    names = [f"2007_{number:06d}" for number in range(count)]
    for number, name in enumerate(names):
        write_image(root, name, *scene(number), mode="PL"[number % 2])
    write_list(root, "train", names[:-held_out])
    write_list(root, "val", names[-held_out:])
    return root


def real(source: Path, root: Path) -> Path:
    """The images of ``source``, whose targets are pictures of colours, in VOC's own layout."""
    names = sorted(path.name.removesuffix("_image.png") for path in source.glob("*_image.png"))
    for name in names:
        image = np.asarray(Image.open(source / f"{name}_image.png").convert("RGB"))
        target = np.asarray(Image.open(source / f"{name}_target.png").convert("RGB"))
        write_image(root, name, image, index_of(target))
    write_list(root, "train", names[:-4])
    write_list(root, "val", names[-4:])
    return root


def index_of(target: np.ndarray) -> np.ndarray:
    """The class of every pixel of a picture of colours."""
    classes = np.full(target.shape[:2], 21, np.uint8)  # no class
    for index in (*range(21), VOID):
        classes[(target == colour_map()[index]).all(axis=-1)] = index
    return classes
