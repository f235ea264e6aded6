"""The command line: each command is a call of the Python API, with a progress bar and readable errors."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from cyclopts import CycloptsError

from napari_dtn.cli.commands import app
from napari_dtn.cli.terminal import console, log, say

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Iterable[str] | None = None) -> int:
    """Run a command; return 0 done, 1 failed, 2 bad usage or input, 130 interrupted."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    verbose = "--verbose" in tokens
    log(verbose)
    try:
        app([token for token in tokens if token != "--verbose"], exit_on_error=False, print_error=False)
    except KeyboardInterrupt:
        say("Interrupted; what was finished is kept.")
        return INTERRUPTED
    except SystemExit as end:
        return int(end.code or 0)
    except Exception as error:
        if verbose:
            console.print_exception()
        say(f"napari-dtn: {_one_line(error)}")
        return BAD_INPUT if isinstance(error, _BAD_INPUT) else FAILED
    return DONE


_BAD_INPUT = (
    CycloptsError,
    ValueError,
    FileNotFoundError,
    FileExistsError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
