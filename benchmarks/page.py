"""What is known, written into docs/paper.md: no figure of that page is typed by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import runs
from experiments import BEST, FIGURE3, GROWN, SCREENS
from matplotlib.figure import Figure

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

Rows = list[dict[str, Any]]
PAGE = Path("docs/paper.md")
_PRINTED = {"unet": 0.8676, "dtn": 0.8953}
_FILES = (
    *("table1", "table2", "table2-gpu", "tiles", "slices", "where", "ceiling", "seen", "widths"),
    "robustness",
)
_SPREADS = ["ROC AUC", "average precision", "each seed, both"]


def page(options: argparse.Namespace) -> Rows:
    """Fill the tables of docs/paper.md from the results."""
    text = PAGE.read_text()
    tables = {"figure3": _figure3(), "screen": _screen(), "prove": _proved(), "best": _best(), **_files()}
    for name, table in tables.items():
        text, found = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda m, t=table: f"{m[1]}{t}\n{m[2]}",
            text,
            flags=re.S,
        )
        if not found:
            raise SystemExit(f"{PAGE} has no place for the table {name!r}.")
    PAGE.write_text(text)
    return [{"table": name, "lines": table.count("\n") + 1} for name, table in tables.items()]


def _figure3() -> str:
    known = runs.known_results("figure3", FIGURE3)
    lines = [
        [e.idea, f"{_PRINTED[e.name]:.4f}", *_spreads(known[e.name]), _spread(_deviations(known[e.name]), 3)]
        for e in FIGURE3
    ]
    head = ["model", "paper, ROC AUC", *_SPREADS, "deviation of the points"]
    return _markdown(head, lines) + _removed(known)


def _spreads(rows: Rows) -> list[str]:
    """What several seeds gave, under the heads of ``_SPREADS``."""
    return [
        _spread(row["roc_auc"] for row in rows),
        _spread(row["average_precision"] for row in rows),
        ", ".join(f"{row['roc_auc']:.4f} / {row['average_precision']:.4f}" for row in rows) or "–",
    ]


def _deviations(rows: Rows) -> list[float]:
    return [_warp(row)["deviation"] for row in rows if row["warp"]]


def _removed(known: dict[str, Rows]) -> str:
    if not known["dtn"] or not known["unet"]:
        return ""
    share = _removed_by(known["dtn"], known["unet"])
    return f"\n\nThe DTN removes {share} of the U-Net's 1 - AUC (the paper: 21 %; goal: 21 %)."


def _removed_by(rows: Rows, unet: Rows) -> str:
    ours, theirs = (np.mean([1 - row["roc_auc"] for row in some]) for some in (rows, unet))
    return f"{100 * (1 - ours / theirs):.1f} %"


def _screen() -> str:
    known = runs.known_results("screen", SCREENS)
    rows = [(e, row) for e in SCREENS for row in known[e.name]]
    base = next((row["roc_auc"] for e, row in rows if e.name == "unet"), None)
    lines = [
        [
            f"`{experiment.name}`",
            experiment.idea,
            f"{row['roc_auc']:.4f}",
            f"{1e4 * (row['roc_auc'] - base):+.0f}" if base else "–",
            f"{_warp(row)['displacement']:.3f}" if row["warp"] else "–",
            _deviation(row),
            f"{row['parameters'] / 1e6:.2f} M",
        ]
        for experiment, row in sorted(rows, key=lambda pair: -pair[1]["roc_auc"])
    ]
    head = ["name", "idea", "ROC AUC", "to the U-Net, 1e-4", "displacement", "deviation", "parameters"]
    return _markdown(head, lines)


def _proved() -> str:
    """The proven ones beside the pair of Figure 3, which is as long."""
    pair, proven = runs.known_results("figure3", FIGURE3), runs.known_results("prove", SCREENS)
    all_ = [(e, pair[e.name]) for e in FIGURE3] + [(e, proven[e.name]) for e in SCREENS]
    found = [(e.idea, rows) for e, rows in all_ if rows]
    lines = [
        [
            idea,
            *_spreads(rows),
            _removed_by(rows, pair["unet"]) if pair["unet"] else "–",
            _spread(_deviations(rows), 3),
        ]
        for idea, rows in sorted(found, key=lambda one: -np.mean([row["roc_auc"] for row in one[1]]))
    ]
    return _markdown(["idea", *_SPREADS, "removed of the U-Net's 1 - AUC", "deviation"], lines)


def _best() -> str:
    known = runs.known_results("best", BEST + GROWN)
    lines = [
        [f"`{e.name}`", e.idea, f"{row['roc_auc']:.4f}", f"{row['average_precision']:.4f}", _deviation(row)]
        for e in BEST + GROWN
        for row in known[e.name]
    ]
    return _markdown(["name", "idea", "ROC AUC", "average precision", "deviation"], lines)


def _deviation(row: dict[str, Any]) -> str:
    return f"{_warp(row)['deviation']:.3f}" if row["warp"] else "–"


def _files() -> dict[str, str]:
    """The parts whose rows are written by ``--json benchmarks/results/paper/PART.json``."""
    tables = {}
    for name in _FILES:
        path = runs.RESULTS / f"{name}.json"
        result = json.loads(path.read_text()) if path.exists() else {"rows": []}
        rows = [{k: v for k, v in row.items() if k != "n_pixels"} for row in result["rows"]]
        lines = [[f"{v:.4f}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
        tables[name] = _markdown(list(rows[0]) if rows else ["not run yet"], lines)
        tables[name] += f"\n\n{result['machine']}, seed {result['seed']}." if rows else ""
    return tables


def save_roc(known: dict[str, Rows], path: Path) -> None:
    """Draw the ROC curves of all seeds, with the corner where they part enlarged."""
    figure = Figure(figsize=(9, 4.4), dpi=120, layout="constrained")
    for axis, limits in zip(figure.subplots(1, 2), ((0, 1, 0, 1), (0, 0.2, 0.8, 1)), strict=True):
        for name, title, colour, line in (("unet", "U-Net", "#56B4E9", "-"), ("dtn", "DTN", "#D55E00", ":")):
            for number, row in enumerate(known[name]):
                label = title if number == 0 else None
                axis.plot(*np.array(row["roc"]).T, line, color=colour, linewidth=1.5, label=label)
        axis.set(xlabel="false positive rate", ylabel="true positive rate", xlim=limits[:2], ylim=limits[2:])
        axis.locator_params(nbins=5)
    axis.legend(loc="lower right")
    figure.savefig(path)


def _warp(row: dict[str, Any]) -> dict[str, float]:
    """The figures of a model's deepest pair."""
    last: dict[str, float] = list(row["warp"].values())[-1]
    return last


def _spread(values: Iterable[float], digits: int = 4) -> str:
    """Mean ± standard deviation (with n - 1), or the one value."""
    found = list(values)
    if not found:
        return "–"
    mean = f"{np.mean(found):.{digits}f}"
    return f"{mean} ± {np.std(found, ddof=1):.{digits}f}" if len(found) > 1 else mean


def _markdown(head: list[str], lines: list[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
