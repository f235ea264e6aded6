"""What the commands show on a terminal, and how they stop."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from napari_dtn.words import duration

if TYPE_CHECKING:
    from napari_dtn.train import StepDone, Validation

# Results go to standard output; whatever is only for a person to read goes here.
console = Console(stderr=True)


class TrainingWatch:
    """Turns steps into a line of text, and remembers the last validation."""

    def __init__(self) -> None:
        self.loss: float | None = None
        self.summary: dict[str, Any] = {}

    def text(self, event: StepDone) -> str:
        self.loss = event.loss if self.loss is None else 0.98 * self.loss + 0.02 * event.loss
        if event.validation:
            self.summary = {"iterations": event.iteration, "validation": asdict(event.validation)}
            self.summary["seconds"] = event.elapsed
            say(f"{event.iteration:6d}  loss {self.loss:.4f}  validation {_in_words(event.validation)}")
        return f"loss {self.loss:.4f} · {event.rate:.2f} it/s · {duration(event.eta)} left"


def _in_words(validation: Validation) -> str:
    """``roc_auc 0.9672, warp at level 4: deviation 0.038, fold-over 0.0 %``."""
    named = ((name, validation.scores[name]) for name in ("roc_auc", "mean_iou") if name in validation.scores)
    scores = [f"{name} {score:.4f}" for name, score in named]
    warps = [
        f"warp at level {level}: deviation {warp['deviation']:.3f}, fold-over {warp['fold_over']:.1%}"
        for level, warp in validation.warp.items()
    ]
    return ", ".join(scores + warps)


def interruptible(events: Iterator[Any]) -> Iterator[Any]:
    """Stop between two events on Ctrl-C or SIGTERM; a second Ctrl-C stops at once."""
    asked: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _: Any) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        say("Stopping after this step ...")

    for number in before:
        signal.signal(number, ask)
    try:
        with closing(events):  # type: ignore[type-var]
            for event in events:
                yield event
                if asked:
                    raise KeyboardInterrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar; gives what updates it: ``report(text, done, total)``."""
    words = TextColumn("· {task.description}", markup=False)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), words)
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total)


def plain(value: Any) -> str:
    """Return a value as one line."""
    return value if isinstance(value, str) else json.dumps(value)


def check_target(target: Path | None, *inputs: str | Path | None) -> None:
    """Refuse a file for what is found out that would replace what a command reads, before it begins.

    Parameters
    ----------
    target
        The file; ``-`` is standard output, None nothing.
    inputs
        Volumes, and models by their name or as files.
    """
    if target is None or str(target) == "-":
        return
    from napari_dtn.nn.bundled import named_model
    from napari_dtn.volume.guarding import check_apart

    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; give a file in it, by its name.")
    check_apart(target, *(str(named_model(str(one)) or one) for one in inputs if one is not None))


def write_json(result: Any, target: Path | None) -> None:
    """Write a result to a file, to standard output (``-``), or nowhere (None)."""
    if target is None:
        return
    text = json.dumps(result, indent=2)
    if str(target) == "-":
        print(text)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text + "\n")


def say(text: str) -> None:
    """Tell a person something."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def log(verbose: bool) -> None:
    """Show the package's warnings, and with ``verbose`` all that it logs."""
    handler = RichHandler(console=console, show_time=False, show_path=False, markup=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("napari_dtn").setLevel(logging.DEBUG if verbose else logging.INFO)
