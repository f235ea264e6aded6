"""Clicks become objects: a session over one volume, without a window."""

from napari_dtn.session.click import Changed, ClickSession
from napari_dtn.session.doubts import Doubt
from napari_dtn.session.growing import Grown, Searching
from napari_dtn.session.mask import Mask
from napari_dtn.session.prompts import Prompt
from napari_dtn.shapes.facts import ObjectFacts

__all__ = ["Changed", "ClickSession", "Doubt", "Grown", "Mask", "ObjectFacts", "Prompt", "Searching"]
