"""Permissions that count, where the tests run as root too."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOBODY = 65534


@contextmanager
def permissions_count() -> Iterator[None]:
    """Root may read and write everything: be somebody else for a while."""
    if not hasattr(os, "geteuid"):
        pytest.skip("permissions are kept otherwise here")
    before = os.geteuid()
    if before == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that everybody may look into, unlike those that pytest makes."""
    folder = Path(tempfile.mkdtemp(prefix="napari-dtn-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for one in (folder, *folder.rglob("*")):
            if one.is_dir():
                one.chmod(0o755)
        shutil.rmtree(folder)
