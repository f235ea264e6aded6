"""What is kept within a bound: the least used goes, and nothing is made twice while it is there."""

from __future__ import annotations

import numpy as np

from napari_dtn.bounded import Bounded


def test_the_array_not_asked_for_longest_goes_first() -> None:
    store = Bounded(30)
    for key in "abc":
        store.put(key, np.full(10, ord(key), np.uint8))
    store.get("a")
    store.put("d", np.zeros(10, np.uint8))
    assert [store.get(key) is not None for key in "abcd"] == [True, False, True, True]
    store.put("a", np.zeros(25, np.uint8))
    assert (len(store), store.nbytes) == (1, 25)


def test_a_value_is_made_when_it_is_missing() -> None:
    store, made = Bounded(100), []

    def make() -> np.ndarray:
        made.append(1)
        return np.zeros(60, np.uint8)

    assert store.made("a", make) is store.made("a", make)
    store.made("b", make)
    assert len(made) == 2
    store.made("a", make)
    assert len(made) == 3, "b took its room"
