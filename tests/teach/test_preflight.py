"""Preflight: each fault is found, named with its numbers, and nothing is said where all is well."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_dtn.annotate.regions import Taught
from napari_dtn.teach.preflight import Remark, preflight

SHAPE = (4, 60, 60)
CLASSES = ("boundary", "inside")


def painted(**slices: tuple[int, int]) -> np.ndarray:
    """Paint pixels of boundary and of inside on slices ``z0``, ``z1``, ..."""
    found = np.zeros(SHAPE, np.uint8)
    for name, (boundary, inside) in slices.items():
        flat = found[int(name[1:])].reshape(-1)
        flat[:boundary], flat[1800 : 1800 + inside] = 1, 2
    return found


def look(annotation: np.ndarray, **more: Any) -> list[Remark]:
    return preflight(SHAPE, annotation, more.pop("classes", CLASSES), **more)


GOOD = painted(z0=(300, 300), z2=(300, 300))


def test_nothing_is_said_where_all_is_well() -> None:
    assert look(GOOD, voxel_size=(50, 4, 4), trained_on=(30, 6, 6), volumes=("a", "a")) == []


@pytest.mark.parametrize(
    ("annotation", "kind", "words"),
    [
        (painted(z0=(300, 0), z1=(300, 0)), "stop", "Nothing is annotated as inside."),
        (painted(z0=(19, 300), z1=(0, 300)), "stop", "Only 19 pixels of boundary are annotated."),
        (painted(z0=(100, 300), z1=(0, 300)), "warn", "Only 100 pixels of boundary are annotated."),
        (painted(z3=(300, 300)), "warn", "All annotation is on slice 3."),
        (np.where(GOOD == 2, 3, GOOD), "stop", "600 annotated pixels have a value above 2"),
        (np.zeros((3, 60, 60), np.uint8), "stop", "The annotation is 3 x 60 x 60 voxels, the volume 4"),
    ],
)
def test_faults_are_named(annotation: np.ndarray, kind: str, words: str) -> None:
    found = look(annotation)
    assert any(one.kind == kind and one.words.startswith(words) for one in found), found
    assert all(one.remedy for one in found)


def test_what_stops_comes_first() -> None:
    found = look(painted(z1=(300, 0)))
    assert [one.kind for one in found] == ["stop", "warn"]


def test_another_volume_stops() -> None:
    (found,) = look(GOOD, volumes=("here.tif", "there.tif"))
    assert (found.kind, "there.tif" in found.words) == ("stop", True)


def test_far_voxels_come_with_the_factors_to_resample_by() -> None:
    (found,) = look(GOOD, voxel_size=(30, 3, 3), trained_on=(30, 6, 6))
    assert found.kind == "warn"
    assert found.words == "The volume's voxels are 30 × 3 × 3 nm; the model was trained on 30 × 6 × 6 nm."
    assert found.resample == (1.0, 0.5, 0.5)


def test_a_score_on_what_was_learned_from_flatters() -> None:
    held, other = ((slice(z, z + 1), slice(0, 20), slice(0, 20)) for z in (0, 2))
    assert look(GOOD, held_out=(held,), taught=Taught(learned=(other,))) == []
    (remark,) = look(GOOD, held_out=(held,), taught=Taught(learned=(other, held)))
    assert remark.kind == "warn"
    assert "has learned from what would be held out" in remark.words


def test_regions_that_reach_out_of_the_image_are_counted() -> None:
    boxes = [(slice(0, 1), slice(0, 60), slice(0, 60)), (slice(2, 3), slice(0, 60), slice(0, 70))]
    (found,) = look(GOOD, regions=boxes)
    assert found.words == "1 of 2 regions reach out of the image, the first on slice 2."
