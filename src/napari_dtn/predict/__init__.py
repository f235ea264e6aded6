"""Model x volume -> boundary probabilities: one slice, or a whole volume as a generator of tiles."""

from napari_dtn.predict.blending import as_uint8
from napari_dtn.predict.events import TileDone
from napari_dtn.predict.live import LivePart, LivePrediction
from napari_dtn.predict.planning import Plan, plan, plan_of
from napari_dtn.predict.predictor import Predictor, predict_slice
from napari_dtn.predict.running import pinned, predict
from napari_dtn.predict.setting_up import known_voxel_size, use_threads
from napari_dtn.predict.view import View
from napari_dtn.predict.whole import provenance

__all__ = [
    "LivePart",
    "LivePrediction",
    "Plan",
    "Predictor",
    "TileDone",
    "View",
    "as_uint8",
    "known_voxel_size",
    "pinned",
    "plan",
    "plan_of",
    "predict",
    "predict_slice",
    "provenance",
    "use_threads",
]
