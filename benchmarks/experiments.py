"""What is compared: networks and trainings, each with the idea that it tests, declared as data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from napari_dtn.settings import AugmentSettings, NetworkSettings, TrainSettings, WarpPenalties

TRAIN, TEST = range(80), range(80, 100)
PROTOCOL = TrainSettings()  # the paper's: 224 x 224 patches, 10,000 iterations
SCREEN = replace(PROTOCOL, iterations=2500)
UNET = NetworkSettings(transformer_levels=())
DTN = NetworkSettings()  # the paper's: a pair at level 4, 4 x 4 fiducial points


@dataclass(frozen=True)
class Experiment:
    """One model to train.

    Parameters
    ----------
    name
        Of the file of its result.
    idea
        What it tests, in the words of the table.
    network, training
        How it is built and trained; the seed is chosen when it runs.
    train_z
        Slices to train on.
    start
        The one, of the same part, whose weights it goes on from.
    """

    name: str
    idea: str
    network: NetworkSettings = DTN
    training: TrainSettings = field(default=SCREEN)
    train_z: range = TRAIN
    start: Experiment | None = None

    @property
    def warps(self) -> bool:
        """Whether it has a warp that is learned."""
        learned = self.network.localisation in ("pooled", "spatial")
        return bool(self.network.transformer_levels) and learned


FIGURE3 = (
    Experiment("unet", "U-Net", UNET, PROTOCOL),
    Experiment("dtn", "DTN, a pair at level 4, 4 x 4 points", DTN, PROTOCOL),
)

_SPATIAL = replace(DTN, localisation="spatial")
_DENSE = replace(_SPATIAL, fiducials=16, skip="direct")


def _asked(**weights: float) -> TrainSettings:
    return replace(SCREEN, penalties=WarpPenalties(**weights))


SCREENS = (
    Experiment("unet", "U-Net", UNET),
    Experiment(
        "unet-wider", "U-Net of 17 channels: more parameters and compute", replace(UNET, base_channels=17)
    ),
    Experiment("dtn", "DTN, a pair at level 4, 4 x 4 points"),
    Experiment("identity", "warp frozen to the identity", replace(DTN, localisation="identity")),
    Experiment("random", "random warps", replace(DTN, localisation="random")),
    Experiment(
        "quadrilaterals",
        "restored at the inverse of the warp, cell by cell",
        replace(DTN, decoder="quadrilaterals"),
    ),
    Experiment("unfilled", "holes left 0", replace(DTN, filling="nothing")),
    Experiment(
        "filled-warped", "holes filled with the warped map, as published", replace(DTN, filling="warped")
    ),
    Experiment("direct", "skip connection outside of the warp", replace(DTN, skip="direct")),
    Experiment("spatial", "offsets from convolutions", _SPATIAL),
    Experiment("spatial-direct", "offsets from convolutions, direct skip", replace(_SPATIAL, skip="direct")),
    Experiment("points-6", "6 x 6 points, offsets from convolutions", replace(_SPATIAL, fiducials=6)),
    Experiment("points-8", "8 x 8 points, offsets from convolutions", replace(_SPATIAL, fiducials=8)),
    Experiment("points-14", "14 x 14 points, offsets from convolutions", replace(_SPATIAL, fiducials=14)),
    Experiment("level-3", "a pair at level 3", replace(DTN, transformer_levels=(3,))),
    Experiment("level-2", "a pair at level 2", replace(DTN, transformer_levels=(2,))),
    Experiment("levels-34", "pairs at levels 3 and 4", replace(DTN, transformer_levels=(3, 4))),
    Experiment("levels-234", "pairs at levels 2 to 4", replace(DTN, transformer_levels=(2, 3, 4))),
    Experiment(
        "rate-1", "localisation at the full learning rate", DTN, replace(SCREEN, localisation_rate=1.0)
    ),
    Experiment(
        "rate-005", "localisation at a twentieth of the rate", DTN, replace(SCREEN, localisation_rate=0.05)
    ),
    Experiment(
        "late",
        "localisation warmed up over 1,000 iterations",
        DTN,
        replace(SCREEN, localisation_warmup=1000),
    ),
    Experiment("stay", "penalty on displacement, 0.1", DTN, _asked(displacement=0.1)),
    Experiment("smooth", "penalty on bending, 1", DTN, _asked(bending=1.0)),
    Experiment("unfolded", "penalty on folding, 1", DTN, _asked(folding=1.0)),
    Experiment(
        "dense-3",
        "16 x 16 points at level 3, drawn to boundaries",
        replace(_DENSE, transformer_levels=(3,)),
        _asked(boundary=0.3, bending=0.1, folding=1.0),
    ),
    Experiment(
        "dense-2",
        "16 x 16 points at level 2, drawn to boundaries",
        replace(_DENSE, transformer_levels=(2,)),
        _asked(boundary=0.3, bending=0.1, folding=1.0),
    ),
    Experiment(
        "dense-1",
        "32 x 32 points at level 1, drawn to boundaries",
        replace(_DENSE, transformer_levels=(1,), fiducials=32),
        _asked(boundary=0.3, bending=0.1, folding=1.0),
    ),
    Experiment("unet-24", "U-Net of 24 channels, as many as fit into 10 MB", replace(UNET, base_channels=24)),
    # Whether a warp pays where a network sees less: 44 pixels across instead of 200.
    Experiment("shallow-unet", "U-Net of three levels", replace(UNET, levels=3)),
    Experiment(
        "shallow-dtn",
        "DTN of three levels, a pair at level 2",
        replace(DTN, levels=3, transformer_levels=(2,)),
    ),
    Experiment(
        "shallow-dense",
        "DTN of three levels, 16 x 16 points at level 2, drawn to boundaries",
        replace(_DENSE, levels=3, transformer_levels=(2,)),
        _asked(boundary=0.3, bending=0.1, folding=1.0),
    ),
    # What else may make a better model, whichever the network.
    Experiment("context-unet", "U-Net that sees a slice above and below", replace(UNET, context=1)),
    Experiment("context-dtn", "DTN that sees a slice above and below", replace(DTN, context=1)),
    Experiment("context-2", "U-Net that sees two slices above and below", replace(UNET, context=2)),
    Experiment("patch-320", "U-Net, patches of 320 x 320", UNET, replace(SCREEN, patch_size=320)),
    Experiment("deeper", "U-Net of six levels, 12 channels", replace(UNET, levels=6, base_channels=12)),
    Experiment("batch-8", "U-Net, eight patches a step instead of four", UNET, replace(SCREEN, batch_size=8)),
)

_SCALED = replace(PROTOCOL, augment=AugmentSettings(zoom=2.0, stretch=1.5))

ROBUST = (
    Experiment("unet-scaled", "U-Net, trained with magnified and stretched patches", UNET, _SCALED),
    Experiment("dtn-scaled", "DTN, trained with magnified and stretched patches", DTN, _SCALED),
)

_LONG = replace(PROTOCOL, iterations=20_000, average=0.999, validate_every=1000)
_CONTEXT = replace(DTN, context=1)

BEST = (
    Experiment("dtn-long", "DTN that sees a slice above and below, 20,000 iterations", _CONTEXT, _LONG),
    Experiment(
        "unet-long",
        "U-Net that sees a slice above and below, 20,000 iterations",
        replace(UNET, context=1),
        _LONG,
    ),
)

# Patches of 320 were the best idea of the screen.
_GROWN = replace(_LONG, iterations=2500, patch_size=320, learning_rate=1e-3, cooldown=0.8, validate_every=500)

GROWN = tuple(
    replace(e, name=f"{e.name}-320", idea=f"{e.idea}, then 2,500 of 320 x 320", training=_GROWN, start=e)
    for e in BEST
)

_HALF = replace(PROTOCOL, iterations=4000)

FOLDS = (
    Experiment("fold-a", "DTN that saw z 0-39", _CONTEXT, _HALF, range(40)),
    Experiment("fold-b", "DTN that saw z 40-79", _CONTEXT, _HALF, range(40, 80)),
)

# The paper states neither the iterations nor the batch of its photographs.
_PHOTOGRAPHS = replace(PROTOCOL, iterations=40_000, patch_size=256, augment=AugmentSettings(zoom=2.0))
_COLOURED = replace(DTN, in_channels=3, n_classes=21)

PASCAL = (
    Experiment("unet", "U-Net", replace(_COLOURED, transformer_levels=()), _PHOTOGRAPHS),
    Experiment("dtn", "DTN, a pair at level 4, 4 x 4 points", _COLOURED, _PHOTOGRAPHS),
)
