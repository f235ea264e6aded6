"""Predict the boundaries of a volume, and score them where the truth is known.

    python examples/predict_volume.py                                    # the phantom
    python examples/predict_volume.py volume.tif --voxel-size 30 6 6     # your own
    python examples/predict_volume.py volume.tif --labels ids.tif --z 80:100

The result is an OME-Zarr image, 255 = certainly boundary; drop it on napari to see it.
"""

from __future__ import annotations

import argparse

import napari_dtn as dtn
from napari_dtn.metrics import boundary_scores
from napari_dtn.phantom import PhantomSettings
from napari_dtn.settings import Roi, parse_range
from napari_dtn.volume.opening import Volume, volume_from_array


def main() -> None:
    arguments = parse_arguments()
    volume, labels = open_input(arguments)
    roi = Roi(z=parse_range(arguments.z))
    model = dtn.load_model(arguments.model)

    print(
        f"{volume.name}: {volume.shape} voxels of {volume.voxel_size} nm (Z, Y, X); model {model.card.name}"
    )
    for done in dtn.predict(model, volume, arguments.output, roi=roi, overwrite=arguments.overwrite):
        if done.slice_done:
            print(f"slice {done.z}: {done.slices_done} of {done.slices}, {done.eta:.0f} s left", flush=True)

    boundaries = dtn.open_volume(arguments.output)
    print(f"wrote {arguments.output}: {boundaries.data.dtype}, {boundaries.shape}")
    if labels is not None:
        box = roi.within(volume.shape)
        scores = boundary_scores(boundaries.data, labels.data[box])
        print(f"ROC AUC {scores.roc_auc:.4f}, average precision {scores.average_precision:.4f}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("volume", nargs="?", help="TIFF, OME-Zarr, Zarr, HDF5 or a folder of slices")
    parser.add_argument("--labels", help="true ids of the volume, to score the result")
    parser.add_argument("--voxel-size", nargs=3, type=float, metavar=("Z", "Y", "X"), help="in nm")
    parser.add_argument("--z", default=":", help="slices to predict, start:stop")
    parser.add_argument("--model", default="dtn-snemi3d", help="a bundled model, or a .safetensors file")
    parser.add_argument("-o", "--output", default="boundaries.zarr")
    parser.add_argument("--overwrite", action="store_true", help="replace the output")
    parser.add_argument("--quick", action="store_true", help="a small phantom")
    return parser.parse_args()


def open_input(arguments: argparse.Namespace) -> tuple[Volume, Volume | None]:
    """Open the files that were named, or make the phantom, which knows its truth."""
    if arguments.volume is None:
        shape = (2, 256, 256) if arguments.quick else (16, 512, 512)
        phantom = dtn.make_phantom(PhantomSettings(shape=shape))
        image = volume_from_array(phantom.image, phantom.voxel_size, name="phantom")
        return image, volume_from_array(phantom.labels, phantom.voxel_size, name="phantom ids")
    labels = dtn.open_volume(arguments.labels) if arguments.labels else None
    return dtn.open_volume(arguments.volume, voxel_size=arguments.voxel_size), labels


if __name__ == "__main__":
    main()
