"""The command export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from napari_dtn.cli.options import JsonOption, Switch
from napari_dtn.cli.terminal import check_target, say, write_json


def export(
    model: str,
    *,
    to: Literal["onnx", "openvino", "bioimageio"],
    output: Annotated[Path, Parameter(alias="-o")],
    overwrite: Annotated[bool, Switch] = False,
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Write a model for other programs.

    Parameters
    ----------
    model
        A bundled model, or a file.
    to
        onnx (one .onnx file), openvino (an .xml file, its weights beside it as .bin) or bioimageio (a .zip
        package of the BioImage Model Zoo, with a sample).
    output
        Where to.
    overwrite
        Replace a file that is already there.
    """
    from napari_dtn.export import export
    from napari_dtn.nn.checkpoint import load_model

    check_target(json_, model)
    files = export(load_model(model, "cpu"), to, output, overwrite)
    say(f"Written to {', '.join(map(str, files))}")
    write_json({"output": [str(file) for file in files], "format": to}, json_)
