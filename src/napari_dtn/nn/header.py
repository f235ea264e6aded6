"""What a safetensors file says about itself; reading it loads no torch, so a menu can."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEY = "napari_dtn"


def load_json(path: Path, key: str) -> dict[str, Any]:
    """Read an entry of a safetensors file's metadata.

    Raises
    ------
    ValueError
        The file is no safetensors file, is cut short, or has no such entry.
    """
    metadata = _read_header(path).get("__metadata__") or {}
    if key not in metadata:
        raise ValueError(f"{path} was not written by napari-dtn for this purpose: it has no entry {key!r}.")
    try:
        values: dict[str, Any] = json.loads(metadata[key])
    except ValueError as error:
        raise ValueError(f"{path} is damaged: its entry {key!r} is no JSON.") from error
    return values


def _read_header(path: Path) -> dict[str, Any]:
    """The JSON header: its length as 8 little-endian bytes, then the text."""
    with path.open("rb") as file:
        try:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
            if not isinstance(header, dict):
                raise ValueError("its header is no JSON object")
        except (struct.error, ValueError) as error:
            raise ValueError(f"{path} is not a safetensors file, or is cut short.") from error
    return header


def with_json(path: Path, key: str, values: Mapping[str, Any]) -> bytes:
    """Return a safetensors file with another entry in its metadata; its tensors stay the bytes they are."""
    header = _read_header(path)
    header["__metadata__"] = {**(header.get("__metadata__") or {}), key: json.dumps(values)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the format asks for tensors that begin at a multiple of 8
    with path.open("rb") as file:
        file.seek(8 + struct.unpack("<Q", file.read(8))[0])
        return struct.pack("<Q", len(text)) + text + file.read()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that survives a crash: a temporary file, then an atomic rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
