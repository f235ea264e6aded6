"""The commands, each from a module of its name."""

from __future__ import annotations

from cyclopts import App

from napari_dtn import __version__
from napari_dtn.cli.demo import demo
from napari_dtn.cli.evaluate import evaluate
from napari_dtn.cli.export import export
from napari_dtn.cli.info import info
from napari_dtn.cli.options import dataset_defaults
from napari_dtn.cli.predict import predict
from napari_dtn.cli.segment import segment
from napari_dtn.cli.shapes import shapes
from napari_dtn.cli.train import train
from napari_dtn.cli.warp import warp

app = App(
    suppress_keyboard_interrupt=False,
    name="napari-dtn",
    help="Dense Transformer Networks for boundaries in electron microscopy volumes. Every command also takes "
    "--verbose: it tells more, and where an error comes from.",
    version=__version__,
    config=dataset_defaults,
)

for command in (demo, info, train, predict, segment, shapes, export, evaluate, warp):
    app.command(command)
