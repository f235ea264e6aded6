"""Train a model on a volume with true ids, and try it on a slice that it has never seen.

    python examples/train_model.py                                                        # the phantom
    python examples/train_model.py volume.tif ids.tif --train-z 0:80 --val-z 80:100

Interrupt it with Ctrl-C whenever you like: the same command with --resume goes on where it stopped.
"""

from __future__ import annotations

import argparse

import napari_dtn as dtn
from napari_dtn.patches import TrainingVolume
from napari_dtn.phantom import PhantomSettings
from napari_dtn.settings import NetworkSettings, TrainSettings, parse_range
from napari_dtn.train import TrainingData
from napari_dtn.volume.intensity import estimate_intensity
from napari_dtn.volume.opening import Volume, volume_from_array

NETWORK = NetworkSettings()  # U-Net of five levels with a transformer pair at the fourth
SETTINGS = TrainSettings(iterations=6000)

# Shows in seconds that everything works; what it learns is of no use.
QUICK_NETWORK = NetworkSettings(base_channels=4, levels=3, transformer_levels=(2,))
QUICK_SETTINGS = TrainSettings(iterations=6, batch_size=2, patch_size=64, warmup=2, validate_every=3)


def main() -> None:
    arguments = parse_arguments()
    image, labels = open_input(arguments)
    data = TrainingData(
        volume=TrainingVolume(image.data, labels.data, "ids", estimate_intensity(image)),
        train_z=slices(arguments.train_z, image),
        val_z=slices(arguments.val_z, image),
        name=image.name,
        voxel_size=image.voxel_size,
    )
    run_training(data, arguments)
    try_model(arguments.output, image, z=data.val_z.start)


def run_training(data: TrainingData, arguments: argparse.Namespace) -> None:
    """Train; the steps happen while the loop asks for them."""
    network, settings = (QUICK_NETWORK, QUICK_SETTINGS) if arguments.quick else (NETWORK, SETTINGS)
    steps = dtn.train(data, arguments.output, network=network, settings=settings, resume=arguments.resume)
    for step in steps:
        if step.validation:
            minutes = step.eta / 60
            print(
                f"step {step.iteration} of {step.iterations}: loss {step.loss:.3f}, "
                f"validation ROC AUC {step.validation.score:.4f}, {minutes:.1f} min left",
                flush=True,
            )


def try_model(path: str, image: Volume, z: int) -> None:
    """Use the new model as any other."""
    model = dtn.load_model(path)
    probability = dtn.predict_slice(model, image, z)
    print(f"wrote {path}; on slice {z} it calls {(probability > 0.5).mean():.0%} of the pixels boundary")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="?", help="TIFF, OME-Zarr, Zarr, HDF5 or a folder of slices")
    parser.add_argument("labels", nargs="?", help="neurite ids of the same shape, 0 = no neurite")
    parser.add_argument("--voxel-size", nargs=3, type=float, metavar=("Z", "Y", "X"), help="in nm")
    parser.add_argument("--train-z", default=":12", help="slices to train on, start:stop")
    parser.add_argument("--val-z", default="12:", help="slices that are only scored, start:stop")
    parser.add_argument("-o", "--output", default="my-model.safetensors")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted training")
    parser.add_argument("--quick", action="store_true", help="a tiny network for a few steps")
    arguments = parser.parse_args()
    if arguments.images and not arguments.labels:
        parser.error("give the labels that belong to the images")
    return arguments


def open_input(arguments: argparse.Namespace) -> tuple[Volume, Volume]:
    """Open image and ids, or make the phantom."""
    if arguments.images is None:
        shape = (16, 128, 128) if arguments.quick else (16, 512, 512)
        phantom = dtn.make_phantom(PhantomSettings(shape=shape))
        image = volume_from_array(phantom.image, phantom.voxel_size, name="phantom")
        return image, volume_from_array(phantom.labels, phantom.voxel_size, name="phantom ids")
    image = dtn.open_volume(arguments.images, voxel_size=arguments.voxel_size)
    return image, dtn.open_volume(arguments.labels, voxel_size=arguments.voxel_size)


def slices(text: str, volume: Volume) -> range:
    """Turn ``start:stop`` into the slices of this volume."""
    return range(volume.shape[0])[slice(*parse_range(text))]


if __name__ == "__main__":
    main()
