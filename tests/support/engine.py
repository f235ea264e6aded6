"""What the tests of the prediction engine share."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np

from napari_dtn.settings import PredictSettings

if TYPE_CHECKING:
    from pathlib import Path

# A block is a slice, of 35 tiles for the tiny model; the third slice is one that no later step changes.
SETTINGS = PredictSettings(precision="float32", overlap=8, batch_size=4, block_slices=1, threads=1)
EM = np.random.default_rng(0).integers(30, 220, (5, 120, 168), dtype=np.uint8)


def files_in(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder, as bytes by its relative path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def run_program(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter of its own."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
