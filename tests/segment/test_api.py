import numpy as np
import pytest

from napari_dtn.segment.agglomerate import agglomerate
from napari_dtn.segment.fragments import slice_fragments, stack_fragments
from napari_dtn.segment.graph import FEATURES, region_graph
from napari_dtn.segment.merging import merge_probabilities
from napari_dtn.settings import SegmentSettings


def two_rooms(depth: int = 3) -> np.ndarray:
    """Two columns of 20 x 40 pixels with a wall between them, through all slices."""
    boundary = np.zeros((depth, 40, 42), np.float32)
    boundary[:, :, 20:22] = 1
    return boundary


def test_every_pixel_belongs_to_a_fragment_of_its_slice() -> None:
    fragments = stack_fragments(two_rooms())
    assert fragments.dtype == np.uint32
    assert np.array_equal(np.unique(fragments), np.arange(1, fragments.max() + 1))
    ids = [set(np.unique(plane)) for plane in fragments]
    assert not ids[0] & ids[1]
    assert not ids[1] & ids[2]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_slice_without_structure_is_one_fragment(value: float) -> None:
    assert set(np.unique(slice_fragments(np.full((30, 30), value, np.float32)))) == {1}


@pytest.mark.parametrize("solver", ["multicut", "mean"])
def test_a_wall_separates_two_objects_through_the_stack(solver: str) -> None:
    boundary = two_rooms()
    fragments = stack_fragments(boundary)
    graph = region_graph(fragments, boundary)
    assert graph.features.shape == (len(graph.edges), len(FEATURES))
    objects = agglomerate(graph, merge_probabilities(graph), SegmentSettings(solver=solver))[fragments]
    assert objects.max() == 2
    assert np.all(objects[:, :, :19] == 1)
    assert np.all(objects[:, :, 23:] == 2)


def test_edges_are_within_or_across() -> None:
    boundary = two_rooms()
    fragments = stack_fragments(boundary)
    graph = region_graph(fragments, boundary)
    slices = np.array([0, *(np.argwhere(fragments == i)[0, 0] for i in range(1, graph.nodes))])
    assert np.array_equal(graph.across, slices[graph.edges[:, 0]] != slices[graph.edges[:, 1]])
    assert np.all(graph.edges[:, 0] < graph.edges[:, 1])
    assert graph.sizes.sum() == fragments.size
