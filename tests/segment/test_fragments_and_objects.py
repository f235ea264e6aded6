"""Boundaries become fragments, and fragments objects."""

from dataclasses import replace

import numpy as np
import pytest
from bioimage_cpp.filters import gaussian_smoothing
from bioimage_cpp.segmentation import watershed
from scipy.ndimage import gaussian_filter

from napari_dtn.segment.agglomerate import agglomerate, agglomerate_in_parts
from napari_dtn.segment.fragments import seeded_fragments, slice_fragments, stack_fragments
from napari_dtn.segment.graph import FEATURES, RegionGraph, region_graph
from napari_dtn.segment.merging import merge_probabilities
from napari_dtn.settings import FragmentSettings, SegmentSettings, Solver


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


def test_fragments_are_those_of_a_watershed_from_the_seeds_that_are_left() -> None:
    far = gaussian_filter(np.random.default_rng(3).random((300, 300)), 3).astype(np.float32)
    boundary = (far - far.min()) / np.ptp(far)
    settings = FragmentSettings(smallest=150)
    found, seeds = seeded_fragments(boundary, settings)
    assert len(seeds) < seeded_fragments(boundary, replace(settings, smallest=1))[1].size
    height = gaussian_smoothing(boundary, settings.height_smoothing)
    markers = np.zeros(boundary.size, np.uint32)
    markers[seeds] = np.arange(1, len(seeds) + 1)
    wanted = watershed(height, markers.reshape(boundary.shape))
    assert (found != wanted).mean() < 1e-3  # plateaus


@pytest.mark.parametrize("solver", ["multicut", "mean"])
def test_a_wall_separates_two_objects_through_the_stack(solver: Solver) -> None:
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


def test_no_fragment_is_smaller_than_asked_for() -> None:
    rough = np.random.default_rng(0).random((2, 200, 200), np.float32)
    boundary = gaussian_filter(rough[0], 2) + 0.05 * rough[1]
    boundary = (boundary - boundary.min()) / (boundary.max() - boundary.min())
    sizes = {
        least: np.bincount(slice_fragments(boundary, FragmentSettings(smallest=least)).ravel())[1:]
        for least in (1, 100)
    }
    assert sizes[1].min() < 100
    assert sizes[100].min() >= 100
    assert sizes[100].sum() == boundary.size


@pytest.mark.parametrize("solver", ["multicut", "mean"])
def test_objects_of_parts_are_joined_where_parts_meet(solver: Solver) -> None:
    """A chain of ten fragments in five parts, cut once by its evidence, falls into two objects."""
    edges = np.column_stack([np.arange(1, 10), np.arange(2, 11)])
    graph = RegionGraph(11, edges, np.zeros(9, bool), np.ones((9, len(FEATURES)), np.float32), np.full(11, 5))
    probability = np.where(edges[:, 0] == 4, 0.1, 0.9).astype(np.float32)
    parts = np.array([-1, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    settings = SegmentSettings(solver=solver)
    expected = [0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2]
    assert agglomerate_in_parts(graph, probability, parts, settings).tolist() == expected
    assert agglomerate(graph, probability, settings).tolist() == expected


def test_many_corners_do_not_outweigh_a_long_wall() -> None:
    """Two neurites with a wall between them, and five specks on it, each of which seems to belong to both."""
    edges = np.array([(1, 2), *((side, speck) for side in (1, 2) for speck in range(3, 8))])
    edges = edges[np.lexsort(edges.T[::-1])]
    wall = (edges == (1, 2)).all(axis=1)
    probability = np.where(wall, 0.05, 0.8).astype(np.float32)
    found = []
    for corner in (4.0, 0.1):  # as long as the wall, and corners
        features = np.zeros((len(edges), len(FEATURES)), np.float32)
        features[:, FEATURES.index("border over size")] = np.where(wall, 4.0, corner)
        graph = RegionGraph(8, edges, np.zeros(len(edges), bool), features, np.ones(8, np.int64))
        objects = agglomerate(graph, probability)
        parts = np.where(np.arange(8) == 1, 0, 1)
        assert agglomerate_in_parts(graph, probability, parts).max() == objects.max()
        found.append(int(objects.max()))
    assert found == [1, 2]
