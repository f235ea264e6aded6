"""Values kept within a bound of bytes: the one that was not asked for longest goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class Sized(Protocol):
    """What knows how much memory it takes, such as an array."""

    @property
    def nbytes(self) -> int:
        """Bytes."""
        ...


T = TypeVar("T", bound=Sized)


class Bounded:
    """Values by key, at most so many bytes of them.

    Several threads may use it. The last value that was put stays, however large it is.

    Parameters
    ----------
    most
        Bytes.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.nbytes = 0
        self._kept: OrderedDict[Hashable, Sized] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> Any:
        """Return a value, or None where there is none."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Hashable, value: Sized) -> None:
        """Keep a value, and forget others if need be."""
        with self._lock:
            before = self._kept.pop(key, None)
            self.nbytes += value.nbytes - (0 if before is None else before.nbytes)
            self._kept[key] = value
            while self.nbytes > self.most and len(self._kept) > 1:
                self.nbytes -= self._kept.popitem(last=False)[1].nbytes

    def made(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return a value; make it where it is missing. Two threads that ask at once may both make it."""
        found = self.get(key)
        if found is None:
            found = make()
            self.put(key, found)
        return cast("T", found)
