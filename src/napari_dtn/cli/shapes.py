"""The command ``shapes``: objects of a volume of ids as meshes, skeletons or a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from napari_dtn.cli.options import JsonOption, Reading, Switch
from napari_dtn.cli.terminal import check_target, interruptible, progress, say, write_json
from napari_dtn.settings import ShapeSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_dtn.shapes.facts import ObjectFacts
    from napari_dtn.shapes.mesh import Mesh
    from napari_dtn.shapes.skeleton import Skeleton
    from napari_dtn.volume.opening import Volume


def shapes(
    labels: str,
    *,
    output: Annotated[Path, Parameter(alias="-o")],
    format_: Annotated[
        Literal["obj", "ply", "glb", "precomputed", "swc", "csv"], Parameter(name="--format")
    ] = "obj",
    ids: Annotated[tuple[int, ...] | None, Parameter(consume_multiple=True, negative="")] = None,
    reading: Reading = Reading(),
    settings: Annotated[ShapeSettings, Parameter(name="*")] = ShapeSettings(),
    overwrite: Annotated[bool, Switch] = False,
    json_: Annotated[JsonOption, Parameter(name="--json")] = None,
) -> None:
    """Write objects as meshes or skeletons, a file each, or as a table.

    Parameters
    ----------
    labels
        What segment wrote, the objects.zarr of a click session, or any volume of ids.
    output
        Folder for the files.
    format_
        obj, ply, glb, precomputed (for neuroglancer): meshes, in nm; swc: skeletons, in µm; csv: a table,
        objects.csv.
    ids
        Of the objects; all of them unless given.
    overwrite
        Replace files that are there.
    """
    from napari_dtn.shapes.files import check_info
    from napari_dtn.shapes.running import save_steps
    from napari_dtn.shapes.table import save_table
    from napari_dtn.volume.content import check_objects
    from napari_dtn.volume.guarding import check_folder

    if ids == ():
        raise ValueError("--ids names no object; give their ids, or leave it out for all of them.")
    check_target(json_, labels)
    check_folder(output, labels)
    if format_ != "csv":
        check_info(output, format_)
    check_objects(labels)
    volume = reading.open(labels)
    objects = _chosen(_measured(volume), ids or (), labels)
    if format_ == "csv":
        path = _free(output / "objects.csv", overwrite)
        save_table(objects, path)
        say(f"{len(objects)} objects, written to {path}")
        write_json({"output": str(path), "objects": len(objects)}, json_)
        return
    found = []
    with progress("objects") as report:
        for step in interruptible(save_steps(volume, objects, output, format_, settings, overwrite)):
            report("", step.done, step.total)
            if step.shape is not None:
                say(step.shape.words)
                found.append(_plain(step.shape, step.path))
    say(f"{len(found)} shapes, written to {output}")
    write_json({"output": str(output), "format": format_, "shapes": found}, json_)


def _measured(volume: Volume) -> tuple[ObjectFacts, ...]:
    from napari_dtn.shapes.measuring import measure_steps

    with progress("slices") as report:
        for step in interruptible(measure_steps(volume)):
            report("looking for objects", step.done, step.total)
    found: tuple[ObjectFacts, ...] = step.objects
    return found


def _chosen(objects: Sequence[ObjectFacts], ids: Sequence[int], labels: str) -> list[ObjectFacts]:
    known = {one.id: one for one in objects}
    missing = [number for number in ids if number not in known]
    if missing:
        raise ValueError(f"{labels} has no object {missing[0]}; --format csv lists those that it has.")
    if not known:
        raise ValueError(f"{labels} has no objects: it is 0 everywhere.")
    return [known[number] for number in dict.fromkeys(ids)] if ids else list(objects)


def _free(path: Path, overwrite: bool) -> Path:
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another folder, or replace it with --overwrite.")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _plain(shape: Mesh | Skeleton, path: Path | None) -> dict[str, Any]:
    from napari_dtn.shapes.mesh import Mesh

    about: dict[str, Any] = (
        {"triangles": len(shape.faces)}
        if isinstance(shape, Mesh)
        else {"length_um": shape.length_um, "ends": shape.ends}
    )
    return {"id": shape.id, "path": str(path), **about, "factor": list(shape.factor)}
