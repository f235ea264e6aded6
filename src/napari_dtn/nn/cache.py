"""What is expensive to make and easy to make again, kept on this machine: exported graphs, trials."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import platformdirs

if TYPE_CHECKING:
    from napari_dtn.nn.checkpoint import Model

logger = logging.getLogger(__name__)

Files = Mapping[str, bytes]


def model_key(model: Model) -> dict[str, object]:
    """Return what an exported graph, and its speed, depends on: the weights, and the side of tiles."""
    return {"model": model.sha256, "side": model.card.patch_size}


def cached(name: str, key: Mapping[str, object], make: Callable[[], Files]) -> Files:
    """Return files by name, from the cache or made now.

    An entry is one zip file, so it appears whole or not at all, whoever else makes the same one, and its
    checksums tell when it is damaged: then it is made again. Where the folder cannot be written, nothing is
    kept.

    Parameters
    ----------
    name
        What the entry is, for people who look into the folder.
    key
        All that it depends on, plain JSON values.
    make
        Makes it.
    """
    text = json.dumps(key, sort_keys=True)
    path = cache_folder() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}.zip"
    found = _read(path)
    if found is not None:
        return found
    made = make()
    try:
        _write(path, made)
    except OSError as error:
        logger.warning("%s cannot be written (%s); it will be made again next time.", path, error)
    return made


def cache_folder() -> Path:
    """Return the folder of this user's cache."""
    return platformdirs.user_cache_path("napari-dtn") / "backends"


def _read(path: Path) -> Files | None:
    try:
        with zipfile.ZipFile(path) as entry:
            return {name: entry.read(name) for name in entry.namelist()}
    except FileNotFoundError:
        return None
    except (OSError, zipfile.BadZipFile) as error:
        logger.info("%s is damaged (%s); it is made again.", path, error)
        return None


def _write(path: Path, files: Files) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{uuid4().hex}.part")  # others may be making the same
    try:
        with zipfile.ZipFile(part, "w") as entry:
            for name, content in files.items():
                entry.writestr(name, content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
