"""Seeds on graphs whose answer can be seen."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dtn.segment.clicks import Links, Seeds, grow, split_fragments


def links_of(*edges: tuple[int, int, float]) -> Links:
    """Fragments in a row of numbers, with the probability of each link."""
    pairs = np.array([edge[:2] for edge in edges], np.int64)
    nodes = int(pairs.max()) + 1
    probability = np.array([edge[2] for edge in edges], np.float32)
    return Links(pairs, probability, np.ones(len(edges), np.float32), np.ones(nodes, np.int64))


def grown(links: Links, inside: list[int], outside: list[int] = (), threshold: float = 0.5) -> list[int]:
    seeds = Seeds(*(np.array(one, np.int64) for one in (inside, outside, [])))
    return np.flatnonzero(grow(links, seeds, threshold)).tolist()


CHAIN = links_of((1, 2, 0.9), (2, 3, 0.6), (3, 4, 0.95), (4, 5, 0.1))


@pytest.mark.parametrize(
    ("threshold", "found"), [(0.05, [1, 2, 3, 4, 5]), (0.5, [1, 2, 3, 4]), (0.7, [1, 2])]
)
def test_the_object_grows_as_the_threshold_falls(threshold: float, found: list[int]) -> None:
    assert grown(CHAIN, [1], threshold=threshold) == found


def test_a_click_outside_adds_its_object() -> None:
    assert grown(CHAIN, [1, 5]) == [1, 2, 3, 4, 5]


def test_an_excluded_fragment_takes_what_is_behind_the_weakest_link() -> None:
    assert grown(CHAIN, [1], [4]) == [1, 2]


def test_an_excluded_fragment_elsewhere_changes_nothing() -> None:
    assert grown(CHAIN, [1], [5]) == [1, 2, 3, 4]


def test_one_wrong_region_leaves_without_the_rest() -> None:
    star = links_of((1, 2, 0.9), (1, 3, 0.9), (1, 4, 0.9), (1, 5, 0.6))
    assert grown(star, [1], [5]) == [1, 2, 3, 4]


def test_kept_fragments_stay_until_they_are_cut_off() -> None:
    seeds = Seeds(np.array([], np.int64), np.array([], np.int64), np.array([4, 5]))
    assert np.flatnonzero(grow(CHAIN, seeds, 0.99)).tolist() == [4, 5]
    cut = Seeds(np.array([], np.int64), np.array([5]), np.array([4, 5]))
    assert np.flatnonzero(grow(CHAIN, cut, 0.99)).tolist() == [4]


def test_opposing_seeds_split_a_fragment_along_the_boundary_between_them() -> None:
    fragments = np.ones((40, 60), np.uint32)
    fragments[:, 50:] = 2
    boundary = np.zeros((40, 60), np.float32)
    boundary[:, 20] = 0.6  # nearer to the first seed than the middle between both
    out = split_fragments(fragments, boundary, np.array([[20, 15]]), np.array([[20, 45]]))
    assert (out[:, :20] == 1).all()
    assert (out[:, 21:50] == 3).all()
    assert (out[:, 50:] == 2).all()


def test_seeds_of_one_kind_split_nothing() -> None:
    fragments = np.ones((9, 9), np.uint32)
    out = split_fragments(fragments, np.zeros((9, 9)), np.array([[1, 1]]), np.zeros((0, 2), np.int64))
    assert out is fragments
