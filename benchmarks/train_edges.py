"""Train the classifier of merges on SNEMI3D z 0-79, and write it into the package.

    python benchmarks/train_edges.py

The boundaries that it learns from were predicted by models that had not seen those slices: two models, one
trained on z 0-39 and one on z 40-79, each predict the other half. `python benchmarks/paper.py folds` trains
them; `python benchmarks/rebuild.py edges` predicts with them and with the shipped model, and then runs this.

These models saw half as much as the one that is shipped, and their boundaries are worse than those that the
classifier meets in use. So it learns from each slice twice: from the boundaries of the model that had not
seen it, and from their mean with those of the shipped model, which had.

Four parts of 20 slices are each scored by a classifier trained on the other three, on both kinds of
boundaries; from these scores the prior is chosen. In a part of the volume the pieces of one neurite that
meet outside of it count as several. The classifier that is shipped is trained on all four. z 80-99 is not
read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch
from bioimage_cpp.segmentation import label
from sklearn.metrics import log_loss, roc_auc_score
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from napari_dtn.metrics import label_scores
from napari_dtn.segment.agglomerate import agglomerate
from napari_dtn.segment.evidence import FEATURES
from napari_dtn.segment.fragments import stack_fragments
from napari_dtn.segment.graph import RegionGraph, region_graph
from napari_dtn.segment.merging import EdgeClassifier, EdgeNetwork, save_classifier
from napari_dtn.settings import SegmentSettings
from napari_dtn.volume.opening import open_volume

WEIGHTS = Path("src/napari_dtn/weights/edges-snemi3d.npz")
PART = 20  # slices
HIDDEN, EPOCHS, BATCH, RATE, DECAY, DROPOUT = 64, 8, 1024, 4e-3, 1e-2, 0.1
MEMBERS = 3  # networks that are averaged
BLIND = 0.15  # share of the pairs whose grey values are hidden, for use without an image
GREY = [i for i, name in enumerate(FEATURES) if "grey" in name or "texture" in name]
PRIORS = (0.4, 0.5, 0.6, 0.7)


@dataclass(frozen=True, eq=False)
class Part:
    """Slices with their truth, as a graph.

    Parameters
    ----------
    fragments
        Ids, (Z, Y, X).
    pieces
        True ids, (Z, Y, X), with a number for each connected piece of a neurite.
    graph
        Of the fragments.
    same
        Whether the two fragments of an edge have the same true id, (E,).
    weight
        How sure that is, (E,): 0 where a fragment has no true id.
    """

    fragments: np.ndarray
    pieces: np.ndarray
    graph: RegionGraph
    same: np.ndarray
    weight: np.ndarray


def part_of(boundary: np.ndarray, image: np.ndarray, labels: np.ndarray) -> Part:
    """Cut slices into fragments, connect them, and look their true ids up."""
    fragments = stack_fragments(boundary)
    graph = region_graph(fragments, boundary, image)
    truth, purity = true_ids(fragments, labels, graph.nodes)
    u, v = graph.edges.T
    pieces = label(labels, connectivity=3).astype(np.uint32)
    return Part(fragments, pieces, graph, truth[u] == truth[v], np.minimum(purity[u], purity[v]))


def true_ids(fragments: np.ndarray, labels: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the commonest true id of each fragment, and how sure it is: 0 where all are 0."""
    ids = int(labels.max()) + 1
    pairs = fragments.ravel().astype(np.int64) * ids + labels.ravel()
    counts = np.bincount(pairs, minlength=nodes * ids).reshape(nodes, ids)[:, 1:]
    known, sizes = counts.sum(axis=1), np.bincount(fragments.ravel(), minlength=nodes)
    covered = np.minimum(2 * known / np.maximum(sizes, 1), 1)  # half of it membrane is usual
    return counts.argmax(axis=1) + 1, counts.max(axis=1) / np.maximum(known, 1) * covered


def train_network(parts: Sequence[Part], across: bool, seed: int) -> EdgeNetwork:
    """Train the networks for edges within slices, or across them."""
    chosen = [(part, part.graph.across == across) for part in parts]
    features = np.concatenate([part.graph.features[of] for part, of in chosen])
    empty = EdgeNetwork(features.mean(axis=0), features.std(axis=0) + np.float32(1e-6), ())
    inputs = torch.from_numpy(empty.inputs(features))
    same = torch.from_numpy(np.concatenate([part.same[of] for part, of in chosen])).float()
    weight = torch.from_numpy(np.concatenate([part.weight[of] for part, of in chosen])).float()
    networks = []
    for member in range(MEMBERS):
        torch.manual_seed(MEMBERS * seed + member)
        networks.append(fit(perceptron(inputs.shape[1]), inputs, same, weight))
    return EdgeNetwork(empty.mean, empty.deviation, stacked(networks))


def stacked(networks: Sequence[nn.Sequential]) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Return the layers of all networks as arrays."""
    linear = [[layer for layer in network if isinstance(layer, nn.Linear)] for network in networks]
    return tuple(
        (
            np.stack([layer.weight.detach().numpy().T for layer in same]),
            np.stack([layer.bias.detach().numpy()[None] for layer in same]),
        )
        for same in zip(*linear, strict=True)
    )


def perceptron(inputs: int) -> nn.Sequential:
    """Return an untrained network."""
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN),
        nn.SiLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, HIDDEN),
        nn.SiLU(),
        nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, 1),
    )


def fit(
    network: nn.Sequential, inputs: torch.Tensor, same: torch.Tensor, weight: torch.Tensor
) -> nn.Sequential:
    """Minimise the weighted cross entropy; return the network, ready for use."""
    steps = EPOCHS * (len(inputs) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for rows in batches(len(inputs)):
        seen = inputs[rows].clone()
        seen[
            (torch.rand(len(rows), 1) < BLIND) & torch.isin(torch.arange(seen.shape[1]), torch.tensor(GREY))
        ] = 0
        logits = network(seen)[:, 0]
        loss = binary_cross_entropy_with_logits(logits, same[rows], weight[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return network.eval()


def batches(count: int) -> Iterable[torch.Tensor]:
    """Yield the rows of each step."""
    for _ in range(EPOCHS):
        order = torch.randperm(count)
        yield from order[: count // BATCH * BATCH].split(BATCH)


def train_classifier(parts: Sequence[Part], seed: int, card: dict[str, Any]) -> EdgeClassifier:
    """Train both networks."""
    return EdgeClassifier(train_network(parts, False, seed), train_network(parts, True, seed), card)


def score(places: Sequence[Mapping[str, Part]], seed: int) -> list[dict[str, Any]]:
    """Score the parts of each place by a classifier trained on the others; a row for each map and prior."""
    classifiers = [
        train_classifier(
            [part for other in places if other is not place for part in other.values()], seed, {}
        )
        for place in places
    ]
    rows = []
    for boundaries in places[0]:
        parts = [place[boundaries] for place in places]
        probabilities = [one(part.graph) for one, part in zip(classifiers, parts, strict=True)]
        rows += [{"boundaries": boundaries, **row} for row in scored(parts, probabilities)]
    return rows


def scored(parts: Sequence[Part], probabilities: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """Return the scores of probabilities, a row for each prior."""
    edges = {
        f"{name} {kind}": float(
            np.mean([metric(part, p, kind == "across") for part, p in zip(parts, probabilities, strict=True)])
        )
        for kind in ("within", "across")
        for name, metric in (("log loss", entropy), ("auc", area))
    }
    rows = []
    for prior in PRIORS:
        scores = [
            label_scores(
                agglomerate(part.graph, p, SegmentSettings(prior=prior))[part.fragments], part.pieces
            )
            for part, p in zip(parts, probabilities, strict=True)
        ]
        rows.append(
            {
                "prior": prior,
                "are": float(np.mean([one.are for one in scores])),
                "are_2d": float(np.mean([z.are for one in scores for z in one.per_slice])),
                "voi_split": float(np.mean([one.voi_split for one in scores])),
                "voi_merge": float(np.mean([one.voi_merge for one in scores])),
                "are_parts": " ".join(f"{one.are:.3f}" for one in scores),
                **edges,
            }
        )
    return rows


def entropy(part: Part, probability: np.ndarray, across: bool) -> float:
    """Weighted cross entropy of one kind of edges."""
    of = (part.graph.across == across) & (part.weight > 0)
    return float(log_loss(part.same[of], probability[of].clip(1e-3, 1 - 1e-3), sample_weight=part.weight[of]))


def area(part: Part, probability: np.ndarray, across: bool) -> float:
    """Area under the ROC curve of one kind of edges."""
    of = (part.graph.across == across) & (part.weight > 0)
    return float(roc_auc_score(part.same[of], probability[of]))


def main() -> None:
    """Train, score and write."""
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, default=common.SNEMI3D, help="folder of the SNEMI3D TIFF files")
    parser.add_argument(
        "--maps",
        type=Path,
        nargs=2,
        default=[Path("runs/segment/cross-b.zarr"), Path("runs/segment/cross-a.zarr")],
    )
    parser.add_argument("--seen", type=Path, default=Path("runs/segment/seen.zarr"))
    parser.add_argument("-o", "--output", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    image, labels = common.snemi3d(options.data)
    unseen = np.concatenate([np.asarray(open_volume(path).data) for path in options.maps])
    seen = np.asarray(open_volume(options.seen).data)
    places = []
    for z in range(0, len(unseen), PART)[: 2 if options.quick else None]:
        of = slice(z, z + PART)
        maps = {
            "unseen": unseen[of] / np.float32(255),
            "mean": np.asarray(np.mean([unseen[of], seen[of]], axis=0, dtype=np.float32)) / 255,
        }
        places.append({name: part_of(values, image[of], labels[of]) for name, values in maps.items()})
    rows = score(places, options.seed)
    card = {
        "data": "SNEMI3D z 0-79, boundaries by models that were trained on the other half, and their mean "
        "with those of the shipped model",
        "seed": options.seed,
        "cross_validated": rows,
    }
    parts = [part for place in places for part in place.values()]
    if not options.quick:
        save_classifier(options.output, train_classifier(parts, options.seed, card))
    common.report(rows, options)


if __name__ == "__main__":
    main()
