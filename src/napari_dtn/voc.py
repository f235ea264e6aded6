"""The folders of PASCAL VOC: images, the class of every pixel, and the lists that split them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_dtn.volume.lazy import reading

Split = Literal["train", "val"]
Bytes = NDArray[np.uint8]

#: Every class by its index, and the colour that the palette of VOC's own files gives it.
COLOURS = {
    "background": (0, 0, 0),
    "aeroplane": (128, 0, 0),
    "bicycle": (0, 128, 0),
    "bird": (128, 128, 0),
    "boat": (0, 0, 128),
    "bottle": (128, 0, 128),
    "bus": (0, 128, 128),
    "car": (128, 128, 128),
    "cat": (64, 0, 0),
    "chair": (192, 0, 0),
    "cow": (64, 128, 0),
    "diningtable": (192, 128, 0),
    "dog": (64, 0, 128),
    "horse": (192, 0, 128),
    "motorbike": (64, 128, 128),
    "person": (192, 128, 128),
    "pottedplant": (0, 64, 0),
    "sheep": (128, 64, 0),
    "sofa": (0, 192, 0),
    "train": (128, 192, 0),
    "tvmonitor": (0, 64, 128),
}
CLASS_NAMES = tuple(COLOURS)

#: Index and colour of what is no class: the borders of objects. No loss and no score counts it.
VOID, VOID_COLOUR = 255, (224, 224, 192)

#: How colours enter a network: mean and deviation of the red, green and blue of ImageNet, in [0, 1].
NORMALISATION = "RGB, ImageNet z-score"
_MEAN = np.array((0.485, 0.456, 0.406), np.float32)
_DEVIATION = np.array((0.229, 0.224, 0.225), np.float32)

_IMAGES, _CLASSES, _LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"


@dataclass(frozen=True)
class VocFolder:
    """A folder in the layout of PASCAL VOC; make one with :func:`open_voc`.

    Parameters
    ----------
    root
        Holds ``JPEGImages/NAME.jpg``, ``SegmentationClass/NAME.png`` and
        ``ImageSets/Segmentation/train.txt`` and ``val.txt``.
    """

    root: Path

    def names(self, split: Split) -> tuple[str, ...]:
        """Return the images that a list names, in its order.

        Raises
        ------
        FileNotFoundError
            There is no such list, or no file of an image that it names.
        ValueError
            The list is empty.
        """
        file = self.root / _LISTS / f"{split}.txt"
        if not file.is_file():
            raise FileNotFoundError(f"{file} does not exist; it lists the images of {split}, a name a line.")
        names = tuple(line.strip() for line in file.read_text("utf-8").splitlines() if line.strip())
        if not names:
            raise ValueError(f"{file} names no image; it needs one name a line, such as 2007_000032.")
        for path in (path for name in names for path in self._files(name)):
            if not path.is_file():
                raise FileNotFoundError(f"{file} lists {path.stem}, but {path} does not exist.")
        return names

    def read(self, name: str) -> tuple[Bytes, Bytes]:
        """Return an image ``(H, W, 3)`` and the class of every pixel ``(H, W)``, or ``VOID``.

        Raises
        ------
        ValueError
            A file is damaged, the two differ in size, or the classes are not VOC's.
        """
        picture, target = self._files(name)
        with reading(picture), Image.open(picture) as opened:
            image = np.asarray(opened.convert("RGB"))
        classes = _read_classes(target)
        if image.shape[:2] != classes.shape:
            raise ValueError(
                f"{target} has {_size(classes)} pixels and {picture} has {_size(image)}; "
                "a target gives a class to every pixel of its image."
            )
        return image, classes

    def _files(self, name: str) -> tuple[Path, Path]:
        return self.root / _IMAGES / f"{name}.jpg", self.root / _CLASSES / f"{name}.png"


def open_voc(path: str | Path) -> VocFolder:
    """Open a folder in the layout of PASCAL VOC; no image is read.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or a part of it is missing.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"{root} is no folder; check the path.")
    for part in (_IMAGES, _CLASSES, _LISTS):
        if not (root / part).is_dir():
            raise FileNotFoundError(
                f"{root} has no folder {part}; give the one that holds {_IMAGES}, {_CLASSES} and "
                "ImageSets, such as VOCdevkit/VOC2012."
            )
    return VocFolder(root)


def resized(image: Bytes, classes: Bytes, height: int, width: int) -> tuple[Bytes, Bytes]:
    """Bring an image and its classes to a size: colours smoothly, each pixel to the nearest one's class."""
    shape = (width, height)
    return (
        np.asarray(Image.fromarray(image).resize(shape, Image.Resampling.BILINEAR)),
        np.asarray(Image.fromarray(classes).resize(shape, Image.Resampling.NEAREST)),
    )


def normalised(image: Bytes) -> NDArray[np.float32]:
    """Return a picture ``(H, W, 3)`` as networks take it, ``(3, H, W)``."""
    colours = (image.astype(np.float32) / 255 - _MEAN) / _DEVIATION
    return np.ascontiguousarray(colours.transpose(2, 0, 1), dtype=np.float32)


def coloured(classes: Bytes) -> Bytes:
    """Return classes ``(H, W)`` as a picture ``(H, W, 3)`` in the colours of VOC's palette."""
    return _palette()[classes]


def _palette() -> Bytes:
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(COLOURS)] = list(COLOURS.values())
    palette[VOID] = VOID_COLOUR
    return palette


def _read_classes(path: Path) -> Bytes:
    with reading(path), Image.open(path) as opened:
        mode, colours, classes = opened.mode, opened.getpalette("RGB"), np.asarray(opened)
    if mode not in ("P", "L"):
        raise ValueError(
            f"{path} is a picture of colours ({mode}); a target is a PNG with a palette, or of 8-bit "
            f"indices: 0 background, 1 {CLASS_NAMES[1]} ... {VOID} void."
        )
    found = np.flatnonzero(np.bincount(classes.ravel(), minlength=256))  # np.unique takes ten times as long
    strange = found[(found >= len(CLASS_NAMES)) & (found != VOID)]
    if strange.size:
        raise ValueError(
            f"{path} has class {strange[0]}; classes are 0 to {len(CLASS_NAMES) - 1}, and {VOID} for void."
        )
    if mode == "P":
        _check_palette(path, found, np.array(colours, np.uint8).reshape(-1, 3))
    return classes


def _check_palette(path: Path, found: NDArray[np.intp], colours: Bytes) -> None:
    """Refuse a palette in another order, as programs write that make their own: its indices mean nothing."""
    for index in found:
        if index >= len(colours) or tuple(colours[index]) != tuple(_palette()[index]):
            raise ValueError(
                f"{path} has a palette of its own: index {index} is not VOC's colour "
                f"{tuple(map(int, _palette()[index]))}. Save it with VOC's palette, or as 8-bit grey indices."
            )


def _size(pixels: Bytes) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
