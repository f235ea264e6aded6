"""Bad slices of a volume that nobody has marked: judged when an object first reaches them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_dtn.volume.defects import find_bad_slices, is_left_out

if TYPE_CHECKING:
    from napari_dtn.volume.opening import Volume

_RUN, _BESIDE = 8, 4  # slices that are judged together, and those on each side that they are judged beside


class JudgedSlices:
    """The slices of a volume that objects are led past; ask for one with ``in``.

    The slices are judged in fixed runs: a question costs only what lies around it, and its answer does not
    depend on the questions before.

    Parameters
    ----------
    volume
        Of grey values.
    """

    def __init__(self, volume: Volume) -> None:
        self._volume = volume
        self._bad: dict[int, frozenset[int]] = {}  # of each run that was looked at

    def __contains__(self, z: Any) -> bool:
        run = z // _RUN
        if run not in self._bad:
            self._bad[run] = self._judged(run)
        return z in self._bad[run]

    def _judged(self, run: int) -> frozenset[int]:
        first = max(run * _RUN - _BESIDE, 0)
        some, volume = slice(first, (run + 1) * _RUN + _BESIDE), self._volume
        levels = tuple(level[some] for level in volume.levels if level.shape[0] == volume.shape[0])
        report = find_bad_slices(replace(volume, levels=levels))
        bad = {first + one.z for one in report.bad if is_left_out(one.kind)}
        return frozenset(z for z in bad if z // _RUN == run)
