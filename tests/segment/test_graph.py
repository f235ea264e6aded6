"""The graph of fragments: every number has an oracle in plain NumPy."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from napari_dtn.segment.evidence import FEATURES, Fragments
from napari_dtn.segment.graph import RegionGraph, borders, graph_of, measure, region_graph, standardised
from napari_dtn.segment.joining import whole_borders, whole_fragments


@pytest.fixture(scope="module")
def stack() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three slices of 6 x 4 fragments each, a boundary map and an image, all by chance."""
    rng = np.random.default_rng(0)
    tile = np.kron(np.arange(24, dtype=np.uint32).reshape(6, 4) + 1, np.ones((7, 9), np.uint32))
    fragments = np.stack([np.roll(tile, 3 * z, axis=1) + 24 * z for z in range(3)]).astype(np.uint32)
    return fragments, rng.random(fragments.shape, np.float32), rng.normal(100, 20, fragments.shape)


def pairs_by_hand(fragments: np.ndarray, values: np.ndarray) -> dict[tuple[int, int], list[float]]:
    """The mean of the two pixels, for every pair of touching pixels of two fragments."""
    found: dict[tuple[int, int], list[float]] = {}
    for axis in range(3):
        first, second = (np.moveaxis(fragments, axis, 0)[part] for part in (np.s_[:-1], np.s_[1:]))
        a, b = (np.moveaxis(values, axis, 0)[part] for part in (np.s_[:-1], np.s_[1:]))
        for u, v, value in zip(first.flat, second.flat, ((a + b) / 2).flat, strict=True):
            if u != v:
                found.setdefault((min(u, v), max(u, v)), []).append(float(value))
    return found


def column(graph: RegionGraph, name: str) -> np.ndarray:
    return graph.features[:, FEATURES.index(name)]


def test_borders_are_what_a_loop_over_pixels_finds(stack: tuple[np.ndarray, ...]) -> None:
    fragments, boundary, image = stack
    graph, expected = region_graph(fragments, boundary, image), pairs_by_hand(fragments, boundary)
    assert [tuple(edge) for edge in graph.edges.tolist()] == sorted(expected)
    for statistic, name in (
        (np.mean, "mean"),
        (np.std, "deviation"),
        (np.min, "minimum"),
        (np.max, "maximum"),
    ):
        wanted = [statistic(expected[tuple(edge)]) for edge in graph.edges.tolist()]
        assert np.allclose(column(graph, f"border boundary {name}"), wanted, atol=1e-6)
    lengths = [len(expected[tuple(edge)]) for edge in graph.edges.tolist()]
    assert np.allclose(column(graph, "border length"), np.log(lengths))


def test_shares_of_an_overlap_are_parts_of_the_area(stack: tuple[np.ndarray, ...]) -> None:
    fragments, boundary, _ = stack
    graph = region_graph(fragments, boundary)
    for (u, v), across, low, iou in zip(
        graph.edges, graph.across, column(graph, "share lesser"), column(graph, "overlap"), strict=True
    ):
        if across:
            in_u, in_v = (fragments == u).any(axis=0), (fragments == v).any(axis=0)
            common = (in_u & in_v).sum()
            assert low == pytest.approx(min(common / in_u.sum(), common / in_v.sum()))
            assert iou == pytest.approx(common / (in_u | in_v).sum())


def test_without_an_image_only_the_evidence_of_grey_values_is_unknown(stack: tuple[np.ndarray, ...]) -> None:
    features = region_graph(*stack[:2]).features
    unknown = np.array(["grey" in name or "texture" in name for name in FEATURES])
    assert np.isnan(features[:, unknown]).all()
    assert np.isfinite(features[:, ~unknown]).all()


def test_parts_count_every_pair_of_pixels_once(stack: tuple[np.ndarray, ...]) -> None:
    fragments, boundary, _ = stack
    whole = borders(fragments, boundary)
    cut = [
        borders(fragments[z], boundary[z], own=(slice(0, 1), slice(0, 42), slice(0, 36)))
        for z in (slice(0, 2), slice(1, 3), slice(2, 3))
    ]
    edges = np.concatenate([part.edges for part in cut])
    order = np.lexsort(edges.T[::-1])
    assert np.array_equal(edges[order], whole.edges)
    assert np.allclose(np.concatenate([part.boundary for part in cut])[order], whole.boundary)


def test_pieces_add_up_to_what_measuring_the_whole_gives(stack: tuple[np.ndarray, ...]) -> None:
    fragments, boundary, image = stack
    grey, whole = standardised(image), np.concatenate([[0], np.arange(72) // 2 + 1])
    pieces, single = borders(fragments, boundary, grey), measure(fragments, boundary, grey)
    added = graph_of(whole_borders(pieces, whole), whole_fragments(single, whole))
    measured = region_graph(whole[fragments].astype(np.uint32), boundary, image)
    assert np.array_equal(added.edges, measured.edges)
    assert np.array_equal(added.across, measured.across)
    assert np.allclose(added.features, measured.features, atol=1e-4)


def test_fragments_of_parts_lie_where_they_are_in_the_volume(stack: tuple[np.ndarray, ...]) -> None:
    fragments, boundary, _ = stack
    whole, moved = (measure(fragments, boundary, corner=corner) for corner in ((0, 0, 0), (5, 100, 200)))
    assert np.array_equal(moved.slices[1:], whole.slices[1:] + 5)
    assert np.allclose(moved.centres[1:], whole.centres[1:] + np.array([100, 200]))
    same = replace(moved, slices=whole.slices, centres=whole.centres)
    for one in fields(Fragments):
        assert np.array_equal(getattr(same, one.name), getattr(whole, one.name), equal_nan=True)
