"""Freed memory is kept: the same buffer, allocated again, costs no new pages."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from napari_dtn.nn.memory import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
torch.ones(16_000_000).sum()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(60):
    torch.ones(16_000_000).sum()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(keep: bool) -> int:
    command = [sys.executable, "-c", PROGRAM.format(keep=keep)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_a_buffer_is_not_cleared_again() -> None:
    """64 MB are 16,000 pages of 4 kB, which 60 rounds clear 60 times unless they are kept.

    A small allocation behind the buffer may send the next one to fresh memory, a few times until the heap
    has grown around it.
    """
    assert page_faults(keep=True) < 0.5 * page_faults(keep=False)
