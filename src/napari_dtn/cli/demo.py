"""The command demo."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from napari_dtn.cli.options import JsonOption, Switch
from napari_dtn.cli.terminal import check_target, progress, say, write_json
from napari_dtn.words import progress_words

_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")  # one of which says on Linux where windows go


def demo(
    *,
    output: Annotated[Path, Parameter(alias="-o")] = Path("napari-dtn-demo"),
    headless: Annotated[bool, Switch] = False,
    model: str = "dtn-snemi3d",
    quick: Annotated[bool, Switch] = False,
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Predict a synthetic volume with the shipped model, score it, and show it in napari.

    Parameters
    ----------
    output
        Folder for the phantom, the prediction, the pictures and the scores; replaced by the next demo.
    headless
        Write pictures, OME-Zarr and scores, and open no window.
    model
        A bundled model, or a file.
    quick
        A smaller phantom.
    """
    from napari_dtn.demo import run_demo, show_demo

    check_target(json_, model)
    if not headless and not _has_display():
        say("There is no display, so no window opens: going on as with --headless.")
        headless = True
    with progress("slices") as report:
        result = run_demo(
            output, model, quick, lambda event: report(progress_words(event), event.done, event.total)
        )
    say(f"Boundary ROC AUC on the phantom: {result['scores']['roc_auc']:.4f}. Written to {output}/")
    write_json(result, json_)
    if not headless:
        say("Opening napari; close its window to end.")
        show_demo(output)


def _has_display() -> bool:
    return sys.platform != "linux" or any(os.environ.get(name) for name in _DISPLAYS)
