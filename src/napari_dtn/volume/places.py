"""Where a volume lies: a local path, or a URL that fsspec reads."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.request import url2pathname

if TYPE_CHECKING:
    from upath import UPath

    # A UPath has the methods of a Path, for what lies behind a URL.
    Place: TypeAlias = Path | UPath

_OURS = {"http", "https", "s3"}  # what the extra "remote" reads
_PREFIX = "precomputed://"  # neuroglancer writes its sources so


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
        return Path(url2pathname(text.removeprefix("file://")))
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
