"""PASCAL VOC's folders: what is read is what is there, and what is wrong is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_dtn.voc import COLOURS, VOID_COLOUR, coloured, normalised, open_voc, resized
from support.voc import VOID, colour_map, index_of, made_up, real, scene, write_image, write_list

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return made_up(tmp_path / "VOC2012")


def test_the_colours_are_those_of_the_development_kit() -> None:
    np.testing.assert_array_equal(list(COLOURS.values()), colour_map()[:21])
    np.testing.assert_array_equal(VOID_COLOUR, colour_map()[VOID])


def test_images_of_any_size_come_with_their_classes(root: Path) -> None:
    """With a palette or as grey indices."""
    folder = open_voc(root)
    for number, name in enumerate((*folder.names("train"), *folder.names("val"))):
        image, classes = folder.read(name)
        expected_image, expected = scene(number)
        np.testing.assert_array_equal(classes, expected)
        assert image.shape == (*classes.shape, 3)
        assert np.abs(image.astype(int) - expected_image).mean() < 4  # JPEG loses a little


def test_lists_are_read_in_their_order_without_blank_lines(root: Path) -> None:
    write_list(root, "train", ["2007_000003", "", " 2007_000001 "])
    assert open_voc(root).names("train") == ("2007_000003", "2007_000001")


def test_real_targets_come_back_in_their_own_colours(shared_data: Path, tmp_path: Path) -> None:
    folder = open_voc(real(shared_data / "voc", tmp_path))
    names = (*folder.names("train"), *folder.names("val"))
    assert len(names) == 14
    for name in names:
        target = np.asarray(Image.open(shared_data / "voc" / f"{name}_target.png").convert("RGB"))
        image, classes = folder.read(name)
        assert image.shape == target.shape
        np.testing.assert_array_equal(coloured(classes), target)
        np.testing.assert_array_equal(classes, index_of(target))


@pytest.mark.parametrize("side", [(20, 31), (100, 95)])
def test_a_resized_class_is_that_of_the_nearest_pixel(side: tuple[int, int]) -> None:
    image, classes = scene(3)
    small, found = resized(image, classes, *side)
    assert small.shape == (*side, 3)
    y, x = (
        np.floor((np.arange(n) + 0.5) * length / n).astype(int)
        for n, length in zip(side, classes.shape, strict=True)
    )
    np.testing.assert_array_equal(found, classes[np.ix_(y, x)])


def test_colours_enter_by_the_statistics_of_imagenet() -> None:
    image = np.full((4, 5, 3), (124, 116, 104), np.uint8)  # ImageNet's mean
    assert normalised(image).shape == (3, 4, 5)
    np.testing.assert_allclose(normalised(image), 0, atol=0.01)
    white = normalised(np.full((1, 1, 3), 255, np.uint8))[:, 0, 0]
    np.testing.assert_allclose(
        white, [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], rtol=1e-5
    )


# ---- what a newcomer does


def without(part: str) -> Callable[[Path], object]:
    return lambda root: (root / part).rename(root / "elsewhere")


def another_size(root: Path) -> None:
    image, classes = scene(0)
    write_image(root, "2007_000000", image, classes[:-1])


def colours_for_a_palette(root: Path) -> None:
    Image.fromarray(coloured(scene(0)[1])).save(root / "SegmentationClass" / "2007_000000.png")


def a_palette_in_another_order(root: Path) -> None:
    """As an image editor saves it: the same colours, numbered by how often they occur."""
    picture = Image.fromarray(coloured(scene(0)[1])).quantize(8)
    picture.save(root / "SegmentationClass" / "2007_000000.png")


def an_unknown_class(root: Path) -> None:
    image, classes = scene(0)
    write_image(root, "2007_000000", image, np.where(classes == VOID, 40, classes).astype(np.uint8))


def a_broken_file(root: Path) -> None:
    file = root / "JPEGImages" / "2007_000000.jpg"
    file.write_bytes(file.read_bytes()[:500])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without("JPEGImages"), "VOC2012 has no folder JPEGImages; give the one that holds"),
        (without("SegmentationClass"), "has no folder SegmentationClass"),
        (without("ImageSets"), "has no folder ImageSets/Segmentation"),
        (without("ImageSets/Segmentation/train.txt"), r"train\.txt does not exist; it lists the images"),
        (without("JPEGImages/2007_000001.jpg"), r"lists 2007_000001, but .*JPEGImages.2007_000001\.jpg does"),
        (without("SegmentationClass/2007_000001.png"), r"but .*SegmentationClass.2007_000001\.png does not"),
        (lambda root: write_list(root, "train", []), "names no image"),
        (another_size, r"000000\.png has 90 x 59 pixels and .*000000\.jpg has 90 x 60"),
        (colours_for_a_palette, r"000000\.png is a picture of colours \(RGB\)"),
        (a_palette_in_another_order, r"has a palette of its own: index \d is not VOC's colour"),
        (an_unknown_class, r"000000\.png has class 40; classes are 0 to 20, and 255 for void"),
        (a_broken_file, r"000000\.jpg cannot be read; is it damaged"),
    ],
)
def test_what_is_wrong_is_named(root: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(root)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        open_voc(root).read(open_voc(root).names("train")[0])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="VOC2021 is no folder"):
        open_voc(tmp_path / "VOC2021")
