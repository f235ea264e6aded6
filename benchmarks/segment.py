"""Score objects made from the shipped model's boundaries on SNEMI3D slices that nothing was trained on.

    python benchmarks/segment.py

The boundaries of z 80-99 (--z for others: z 0-79 give training scores, and rows say so) are predicted by the
shipped model; then, from the same boundaries: our fragments, classifier and multicut; the same with mean
linkage; the same with the truth in place of the classifier for all pairs across slices, and for all within,
which tells what each kind of error costs; our fragments merged by their true ids, the best that they allow;
python-elf's stacked watershed, boundary means and multicut with their default settings; and the connected
components of what lies under a threshold, grown over the boundaries. 3D scores compare ids as they are, 2D
scores connected components in each slice; true id 0 is ignored. Seconds are processor time per slice, with
all that follows the boundaries.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
from bioimage_cpp.segmentation import label, watershed

from napari_dtn.metrics import label_scores
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.predict import Predictor, as_uint8
from napari_dtn.segment.agglomerate import agglomerate
from napari_dtn.segment.fragments import stack_fragments
from napari_dtn.segment.graph import region_graph
from napari_dtn.segment.merging import merge_probabilities
from napari_dtn.settings import PredictSettings, SegmentSettings, Solver, parse_range
from napari_dtn.volume.opening import volume_from_array

TRAINED_ON = 80  # slices, from 0
THRESHOLD = 0.5


def ours(solver: Solver, boundary: np.ndarray, image: np.ndarray, _: np.ndarray) -> np.ndarray:
    """Fragments, evidence, classifier and solver as in the product."""
    fragments = stack_fragments(boundary)
    graph = region_graph(fragments, boundary, image)
    objects = agglomerate(graph, merge_probabilities(graph), SegmentSettings(solver=solver))
    return objects[fragments]


def told(across: bool, boundary: np.ndarray, image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Objects as ours, with the truth for the pairs across slices, or for those within."""
    fragments = stack_fragments(boundary)
    graph = region_graph(fragments, boundary, image)
    first, second = true_ids(fragments, labels)[graph.edges].T
    known = (graph.across == across) & (np.maximum(first, second) <= labels.max())
    probability = np.where(known, first == second, merge_probabilities(graph)).astype(np.float32)
    return agglomerate(graph, probability)[fragments]


def perfect(boundary: np.ndarray, _: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Join fragments by their true ids."""
    fragments = stack_fragments(boundary)
    return true_ids(fragments, labels)[fragments]


def true_ids(fragments: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the commonest true id of each fragment; those without one get ids beyond, each its own."""
    ids = int(labels.max()) + 1
    pairs = fragments.ravel().astype(np.int64) * ids + labels.ravel()
    counts = np.bincount(pairs, minlength=(int(fragments.max()) + 1) * ids).reshape(-1, ids)[:, 1:]
    alone = ids + np.arange(len(counts))
    return np.where(counts.any(axis=1), counts.argmax(axis=1) + 1, alone)


def elf_parts(boundary: np.ndarray, _: np.ndarray, __: np.ndarray) -> np.ndarray:
    """The parts of python-elf's multicut workflow, with their default settings."""
    from elf.segmentation import features, multicut
    from elf.segmentation.watershed import stacked_watershed

    fragments, _ = stacked_watershed(boundary, threshold=0.25, sigma_seeds=2.0, n_threads=1)
    fragments = fragments.astype(np.uint32)
    rag = features.compute_rag(fragments, n_threads=1)
    table = features.compute_boundary_mean_and_length(rag, fragments, boundary, n_threads=1)
    costs = multicut.compute_edge_costs(table[:, 0], edge_sizes=table[:, 1])
    nodes = multicut.multicut_kernighan_lin(rag, costs)
    return np.asarray(features.project_node_labels_to_pixels(rag, fragments, nodes, n_threads=1))


def threshold(boundary: np.ndarray, _: np.ndarray, __: np.ndarray) -> np.ndarray:
    """Connected components of what lies under a threshold, grown over the boundaries slice by slice."""
    parts = label(boundary < THRESHOLD, connectivity=1).astype(np.uint32)
    return np.stack([watershed(plane, seeds) for plane, seeds in zip(boundary, parts, strict=True)])


CONTENDERS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "multicut": lambda *stack: ours("multicut", *stack),
    "mean linkage": lambda *stack: ours("mean", *stack),
    "the truth across slices": lambda *stack: told(True, *stack),
    "the truth within slices": lambda *stack: told(False, *stack),
    "perfect merging of our fragments": perfect,
    "python-elf's parts": elf_parts,
    f"threshold {THRESHOLD}": threshold,
}


def main() -> None:
    """Run the benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, default=common.SNEMI3D, help="folder of the SNEMI3D TIFF files")
    parser.add_argument("--model", default="dtn-snemi3d")
    parser.add_argument("--z", default="80:100", help="slices to score")
    options = parser.parse_args()
    image, labels = common.snemi3d(options.data)
    first, stop = parse_range(options.z)
    of = slice(first, (first or 0) + 3 if options.quick else stop)
    volume = volume_from_array(image, (30, 6, 6), "SNEMI3D")
    predictor = Predictor.of(load_model(options.model), volume, PredictSettings())
    slices = range(len(image))[of]
    boundary = np.stack([as_uint8(predictor.predict(z)[0]) for z in slices]).astype(np.float32) / 255
    common.report([_row(name, boundary, image[of], labels[of], slices) for name in CONTENDERS], options)


def _row(
    name: str, boundary: np.ndarray, image: np.ndarray, labels: np.ndarray, slices: range
) -> dict[str, Any]:
    began = time.process_time()
    objects = CONTENDERS[name](boundary, image, labels)
    seconds = (time.process_time() - began) / len(boundary)
    scores = label_scores(objects, labels)
    return {
        "objects from": name,
        "slices": f"{slices.start}-{slices[-1]}",
        "score": "training" if slices.start < TRAINED_ON else "held out",
        "are": scores.are,
        "are_2d": float(np.mean([one.are for one in scores.per_slice])),
        "voi_split": scores.voi_split,
        "voi_merge": scores.voi_merge,
        "objects": len(np.unique(objects)),
        "s_per_slice": seconds,
    }


if __name__ == "__main__":
    main()
