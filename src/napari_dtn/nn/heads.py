"""A network that tells other classes apart than before: its last layer made anew from what it knows."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import torch
from torch import nn

from napari_dtn.nn.checkpoint import Model
from napari_dtn.words import is_boundary


def with_classes(model: Model, names: tuple[str, ...]) -> Model:
    """Return the model with an output for each of these classes; everything but the last layer is kept.

    Classes that the model knows by name start as they are. A boundary model becomes one of several classes
    that at first gives the boundary the probability that it had, and shares the rest evenly.

    Parameters
    ----------
    model
        Not changed.
    names
        One a class; ``("boundary",)`` for a boundary probability.

    Raises
    ------
    ValueError
        A model of several classes cannot become one of a boundary alone.
    """
    if names == model.card.class_names:
        return model
    if len(names) == 1:
        raise ValueError(
            f"{model.card.name} tells {len(model.card.class_names)} classes apart; "
            "start from a boundary model, or annotate the classes of this one."
        )
    network = copy.deepcopy(model.network)
    network.settings = replace(network.settings, n_classes=len(names))
    network.head = _head(model, names).to(model.device)
    card = replace(model.card, network=network.settings, class_names=names)
    return model.changed(network, f"with the classes {names}", card)


def _head(model: Model, names: tuple[str, ...]) -> nn.Conv2d:
    known = {_plain(name): row for row, name in enumerate(model.card.class_names)}
    old, head = model.network.head, nn.Conv2d(model.network.head.in_channels, len(names), 1)
    single = model.card.network.n_classes == 1
    with torch.no_grad():
        head.weight.zero_()
        assert old.bias is not None
        assert head.bias is not None
        # sigmoid(s) is exp(s) beside others that add up to 1, in a softmax.
        head.bias.fill_(-math.log(len(names) - 1) if single else float(old.bias.mean()))
        for row, name in enumerate(names):
            if _plain(name) in known:
                head.weight[row] = old.weight[known[_plain(name)]]
                head.bias[row] = old.bias[known[_plain(name)]]
    return head


def _plain(name: str) -> str:
    """Return a name in lower case; membrane is another word for boundary."""
    return "boundary" if is_boundary(name) else name.lower()
