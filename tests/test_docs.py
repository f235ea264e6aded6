"""What README and documentation tell a user to type exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from napari_dtn.cli import app

PROJECT = Path(__file__).resolve().parent.parent
PAGES = sorted([PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").glob("*.md")])
COMMANDS = ("demo", "info", "train", "predict", "segment", "shapes", "evaluate", "export", "warp")
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


def options_of(command: str) -> set[str]:
    """Return the options that a command takes, with those that all take."""
    arguments = app[command].assemble_argument_collection()
    return {"--help", "--verbose", *(name for argument in arguments for name in argument.names)}


def calls(page: Path) -> list[tuple[str, str]]:
    """Return the calls of the program in a page's shell blocks, as (command, rest of the line)."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(), flags=re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = (re.search(rf"napari-dtn ({'|'.join(COMMANDS)})\b(.*)", line) for line in lines)
    return [(match[1], match[2].partition("#")[0]) for match in found if match]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_calls_use_options_that_exist(page: Path) -> None:
    for command, rest in calls(page):
        assert set(OPTION.findall(rest)) <= options_of(command), (command, rest)


def test_there_are_calls_to_check() -> None:
    assert {command for page in PAGES for command, _ in calls(page)} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_manual_of_a_command_names_options_that_exist(command: str) -> None:
    text = (PROJECT / "docs" / "command-line.md").read_text()
    (section,) = re.findall(rf"^## {command}\n(.*?)(?=^## |\Z)", text, flags=re.DOTALL | re.MULTILINE)
    named = {option for code in re.findall(r"`([^`\n]+)`", section) for option in OPTION.findall(code)}
    assert named <= options_of(command)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_contract_of_a_command_is_kept(command: str) -> None:
    text = (PROJECT / "docs" / "contracts.md").read_text()
    (row,) = re.findall(rf"^\| `{command}\b.*$", text, flags=re.MULTILINE)
    assert set(OPTION.findall(row.split(" | ", 1)[1])) <= options_of(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_are_python(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL):
        ast.parse(block)


def test_links_in_the_readme_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)", (PROJECT / "README.md").read_text())
    local = [target for target in targets if "://" not in target]
    assert local
    assert [target for target in local if not (PROJECT / target).exists()] == []
