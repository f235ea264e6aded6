"""What every benchmark shares: its options, and the JSON that it writes."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

SNEMI3D = Path("../shared/data/snemi3d")


def parser(text: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--quick", action="store_true", help="a smaller run of under a minute")
    made.add_argument("--json", type=Path, help="write the rows to this file; - is standard output")
    made.add_argument("--seed", type=int, default=0)
    return made


def snemi3d(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read SNEMI3D's image and labels, (Z, Y, X) each."""
    files = [folder / "train-input.tif", folder / "train-labels.tif"]
    missing = [str(file) for file in files if not file.exists()]
    if missing:
        sys.exit(f"Missing: {', '.join(missing)}. Download SNEMI3D from https://zenodo.org/records/7142003.")
    image, labels = (tifffile.imread(file) for file in files)
    return image, labels


def report(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Print the rows as a table, and write them as JSON where asked for."""
    made = result(rows, options.seed)
    if str(options.json) == "-":
        print(json.dumps(made, indent=2))
        return
    _print_table(rows)
    print(f"\n{made['machine']}, commit {made['commit']}")
    if options.json:
        write(options.json, made)


def result(rows: list[dict[str, Any]], seed: int) -> dict[str, Any]:
    """Return the rows with what they came from."""
    command = " ".join(["python", *sys.argv])
    return {"command": command, "commit": _commit(), "machine": machine(), "seed": seed, "rows": rows}


def write(path: Path, values: dict[str, Any]) -> None:
    """Write JSON that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(values, indent=2) + "\n")
    part.replace(path)


def machine() -> str:
    """Return the class of this machine: processor, cores that may be used, what it computes in, GPU."""
    names = {key: value for key, value in _cpu_lines() if key == "model name"}
    parts = [names.get("model name", platform.processor() or platform.machine())]
    parts.append(
        f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"
    )
    parts.append(torch.backends.cpu.get_cpu_capability())
    if torch.cuda.is_available():
        parts.append(torch.cuda.get_device_name())
    return ", ".join(parts)


def _cpu_lines() -> list[tuple[str, str]]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    pairs = (line.partition(":") for line in lines)
    return [(key.strip(), value.strip()) for key, _, value in pairs]


def _commit() -> str:
    if known := os.environ.get("BENCHMARK_COMMIT"):  # where the files were copied without their repository
        return known
    answer = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True)
    return answer.stdout.strip() or "unknown"


def _print_table(rows: list[dict[str, Any]]) -> None:
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
