"""File > Open Sample: the phantom, and SNEMI3D by download."""

from __future__ import annotations

import threading
import zipfile
from pathlib import Path
from typing import Any

from napari_dtn._napari.waiting import Progress, run_while_waiting
from napari_dtn.settings import VoxelSize

LayerData = tuple[Any, dict[str, Any], str]

# Kasthuri et al. 2015, Cell 162:648, doi 10.1016/j.cell.2015.06.054; CC-BY-4.0.
SNEMI3D_RECORD = "https://zenodo.org/records/7142003/files"
SNEMI3D_ARCHIVE = "snemi.zip"
SNEMI3D_MD5 = "3d25a7025f66698f33c7850ace885939"
SNEMI3D_VOXEL_SIZE: VoxelSize = (30.0, 6.0, 6.0)
SNEMI3D_IMAGE, SNEMI3D_LABELS = "train-input.tif", "train-labels.tif"
AXES = ("z", "y", "x")
CHUNK = 1 << 18  # bytes between two looks at Cancel


def phantom() -> list[LayerData]:
    """Make the synthetic volume: an image layer and its hidden true ids."""
    from napari_dtn.phantom import make_phantom

    made = run_while_waiting("Making the phantom", lambda _: make_phantom())
    return [
        _image("phantom", made.image, made.voxel_size),
        _truth("phantom truth", made.labels, made.voxel_size),
    ]


def snemi3d() -> list[LayerData]:
    """Open the training volume of SNEMI3D and its hidden true ids, downloading them the first time.

    Raises
    ------
    OSError
        It could not be downloaded or written; the error names the URL and where to put the file by hand.
    CancelledError
        The user pressed Cancel.
    """
    from napari_dtn.volume.opening import open_volume

    folder = cache_folder()
    if not (folder / SNEMI3D_IMAGE).exists():
        run_while_waiting("Downloading SNEMI3D (186 MB)", lambda progress: _fetch_snemi3d(folder, progress))
    image = open_volume(folder / SNEMI3D_IMAGE, voxel_size=SNEMI3D_VOXEL_SIZE)
    layers = [_image("SNEMI3D", image.data, SNEMI3D_VOXEL_SIZE)]
    if (folder / SNEMI3D_LABELS).exists():
        labels = open_volume(folder / SNEMI3D_LABELS, voxel_size=SNEMI3D_VOXEL_SIZE)
        layers.append(_truth("SNEMI3D truth", labels.data, SNEMI3D_VOXEL_SIZE))
    return layers


def cache_folder() -> Path:
    """Folder that keeps the downloads of this plugin."""
    import pooch

    return Path(pooch.os_cache("napari-dtn"))


def _image(name: str, data: Any, voxel_size: VoxelSize) -> LayerData:
    return (
        data,
        {"name": name, "contrast_limits": (0, 255), "colormap": "gray", **_place(voxel_size)},
        "image",
    )


def _truth(name: str, data: Any, voxel_size: VoxelSize) -> LayerData:
    return data, {"name": name, "visible": False, **_place(voxel_size)}, "labels"


def _place(voxel_size: VoxelSize) -> dict[str, Any]:
    return {"scale": voxel_size, "units": ("nm",) * 3, "axis_labels": AXES}


def _fetch_snemi3d(folder: Path, progress: Progress) -> None:
    archive = _download(folder, progress)
    with zipfile.ZipFile(archive) as zipped:
        # The image comes last: once it is there, everything is.
        for name in (SNEMI3D_LABELS, SNEMI3D_IMAGE):
            _extract(zipped, name, folder, progress)
    if not (folder / SNEMI3D_IMAGE).exists():
        raise OSError(f"{archive} has no {SNEMI3D_IMAGE}; put that file into {folder} by hand.")


def _download(folder: Path, progress: Progress) -> Path:
    import pooch
    from requests.exceptions import RequestException

    url, target = f"{SNEMI3D_RECORD}/{SNEMI3D_ARCHIVE}", folder / SNEMI3D_ARCHIVE
    by_hand = f"Try again, or download {url} by hand and save it as {target}."
    downloader = pooch.HTTPDownloader(progressbar=progress, chunk_size=CHUNK)
    try:
        pooch.retrieve(url, f"md5:{SNEMI3D_MD5}", SNEMI3D_ARCHIVE, folder, downloader=downloader)
    except RequestException as error:
        raise OSError(f"SNEMI3D could not be downloaded: {_reason(error)}. {by_hand}") from error
    except ValueError as error:
        raise OSError(f"SNEMI3D arrived damaged: its md5 is not {SNEMI3D_MD5}. {by_hand}") from error
    return target


def _reason(error: Exception) -> str:
    """Say what went wrong on the network in a few words, without the stack of wrapped errors."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answered {response.status_code} {response.reason}"
    return (
        "no answer within the time limit"
        if "Timeout" in type(error).__name__
        else "no connection to the server"
    )


def _extract(zipped: zipfile.ZipFile, name: str, folder: Path, progress: Progress) -> None:
    """Copy the member of this file name, if there is one; it appears in the folder only when complete."""
    member = next((item for item in zipped.infolist() if Path(item.filename).name == name), None)
    if member is None:
        return
    # Its own name, because a cancelled download may still be on its way out when the next one starts.
    part = folder / f"{name}.{threading.get_ident()}.part"
    progress.total, progress.done = member.file_size, 0
    try:
        with zipped.open(member) as source, part.open("wb") as target:
            while block := source.read(CHUNK):
                target.write(block)
                progress.update(len(block))
        part.replace(folder / name)
    finally:
        part.unlink(missing_ok=True)
