"""Where a volume lies: a local path, or a URL that fsspec reads."""

from __future__ import annotations

import os
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upath import UPath

    # A UPath has the methods of a Path, for what lies behind a URL.
    Place: TypeAlias = Path | UPath

_OURS = {"http", "https", "s3"}  # what the extra "remote" reads
_MOST_FILES = 10_000  # that are looked at to tell whether a folder has changed
_FURTHER = {".zarr", ".graph", ".unfinished"}  # suffixes of what may lie in a folder beside its volume
_PREFIX = "precomputed://"  # neuroglancer writes its sources so


def state_of(path: str | Path) -> dict[str, int]:
    """Return what tells that a local file, or the files of a folder, have changed; empty for a URL.

    Of a folder, the first 10,000 files by name count: the newest time, and all their bytes. What was put into
    it beside the volume, labels and further stores, does not.
    """
    local = "://" not in str(path)
    place = Path(str(path).partition("::")[0]).expanduser()
    there = next((one for one in (place, *place.parents) if one.exists()), None) if local else None
    if there is None or (there != place and there.is_dir()):  # the file of a dataset in it may be a parent
        return {}
    found = [file.stat() for file in islice(_files_of(there), _MOST_FILES)]
    if not found:
        return {}
    return {
        "input_bytes": sum(one.st_size for one in found),
        "input_modified": max(one.st_mtime_ns for one in found),
    }


def _files_of(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    for folder, folders, files in os.walk(place):
        folders[:] = sorted(one for one in folders if one != "labels" and Path(one).suffix not in _FURTHER)
        yield from (Path(folder, file) for file in sorted(files))


def place_of(path: str | Path) -> Place:
    """Return a local path, or what fsspec makes of a URL; nothing is read.

    Raises
    ------
    ValueError
        The URL's protocol is not known, or needs a package that is not installed; the error names it.
    """
    text = str(path).removeprefix(_PREFIX)
    protocol, separator, _ = text.partition("://")
    if not separator:
        return Path(text).expanduser()
    if protocol == "file":
        return Path(text.removeprefix("file://"))
    _check_protocol(text, protocol)
    upath: Any = needed("upath", "remote", text)
    place: UPath = upath.UPath(text, **_options(protocol))
    return place


def is_remote(place: Place) -> bool:
    """Tell whether a place lies behind a URL."""
    return not isinstance(place, Path)


def readable(place: Place) -> Any:
    """Return what a library reads a file from: its path, or an open stream of bytes behind a URL."""
    return place.open("rb") if is_remote(place) else place


def needed(module: str, extra: str, path: object) -> Any:
    """Import an optional library.

    Raises
    ------
    ValueError
        It is not installed; the error names the path that needs it and the extra that brings it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ValueError(f"{path} needs a package: pip install 'napari-dtn[{extra}]'.") from error


def _check_protocol(path: str, protocol: str) -> None:
    from fsspec import get_filesystem_class

    try:
        get_filesystem_class(protocol)
    except ImportError as error:
        hint = "pip install 'napari-dtn[remote]'" if protocol in _OURS else str(error).rstrip(".")
        raise ValueError(f"{path} needs a package: {hint}.") from error
    except ValueError as error:
        raise ValueError(f"{path} begins with {protocol}://, which is not known; check the URL.") from error


def _options(protocol: str) -> dict[str, Any]:
    """Ask a bucket anonymously where there are no credentials: most public data lie in such buckets."""
    if protocol != "s3":
        return {}
    from fsspec.config import conf

    credentials = import_module("botocore.session").Session().get_credentials()
    return {"anon": True} if credentials is None and "anon" not in conf.get("s3", {}) else {}
