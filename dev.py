"""Set up a checkout, then run it: ``python3 dev.py demo | test | lint | docs | system``.

Needs Python 3.11 or newer and pip, nothing else. Each command makes the environment ``.venv`` where it is
missing or out of date, and hands what follows its name on to the program that it runs:

    python3 dev.py demo                 the phantom, its boundaries and the learned warp, in napari
    python3 dev.py demo --headless      the same as pictures, OME-Zarr and scores
    python3 dev.py test [-k NAME ...]   the linters, the documentation and the tests (pytest's options)
    python3 dev.py lint                 ruff, mypy, import-linter
    python3 dev.py docs [serve]         the documentation, in site/ or served while you write
    python3 dev.py system               the system libraries alone (as root, else it names the line to run)
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "napari-dtn-installed.json"
CONSTRAINTS = ROOT / "constraints.txt"

# What Qt 6, OpenGL in software and a virtual display need on Debian and Ubuntu.
SYSTEM_PACKAGES = [
    *("xvfb", "xauth", "xdotool", "libgl1", "libglx-mesa0", "libgl1-mesa-dri", "libegl1", "libglib2.0-0"),
    *("libdbus-1-3", "libfontconfig1", "libxkbcommon-x11-0", "libxcb-cursor0", "libxcb-icccm4"),
    *("libxcb-image0", "libxcb-keysyms1", "libxcb-randr0", "libxcb-render-util0", "libxcb-shape0"),
    "libxcb-xkb1",
]

# What scripts may do and the package may not: call what has no types.
UNTYPED = ("misc", "no-any-return", "no-untyped-call")
LINTERS = {
    "ruff": ["ruff", "check"],
    "ruff format": ["ruff", "format", "--check"],
    "mypy": ["mypy"],
    "mypy of the benchmarks": ["mypy", "benchmarks", *(f"--disable-error-code={code}" for code in UNTYPED)],
    "import-linter": ["lint-imports", "--no-cache"],
}
WINDOWS, NO_TESTS = "tests/_napari", 5  # where tests open windows; what pytest returns where it finds none
DOCS = {"documentation": ["mkdocs", "build", "--strict", "--quiet"]}


def main() -> int:
    """Run the command named on the command line; return its exit code."""
    commands = {"demo": demo, "test": test, "lint": lint, "docs": docs, "system": system}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        print(__doc__)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    return commands[sys.argv[1]](sys.argv[2:])


def demo(arguments: list[str]) -> int:
    """Run ``napari-dtn demo``, with a window where there is a display."""
    headless = "--headless" in arguments
    if not headless and not has_display():
        say("no display found: running with --headless (pictures and scores instead of a window)")
        arguments = [*arguments, "--headless"]
        headless = True
    install_system_packages(required=not headless)
    environment = make_environment("all")
    return run(["napari-dtn", "demo", *arguments], environment)


def test(arguments: list[str]) -> int:
    """Run the linters, build the documentation, run the tests; report every part that failed.

    The tests that open windows, half of the work, run beside all else, and their output follows; not so where
    paths of tests are given.
    """
    install_system_packages(required=True)
    environment = make_environment("all", "test")
    if any((ROOT / one.split("::")[0]).exists() for one in arguments):
        return check(["pytest", *arguments], environment)
    # One thread each: those of two runs would wait for one another.
    environment = {"OMP_NUM_THREADS": "1", **environment}
    with beside("the tests that open windows", ["pytest", WINDOWS, *arguments], environment) as windows:
        code = check(["pytest", "tests", f"--ignore={WINDOWS}", *arguments], environment)
    found = {code, windows.returncode} - {NO_TESTS}  # -k and the like may find none in one part
    return next((one for one in found if one), 0) if found else NO_TESTS


def check(tests: list[str], environment: dict[str, str]) -> int:
    """Run the linters, build the documentation, run some tests; return the exit code."""
    failed = failures({**LINTERS, **DOCS}, environment)
    say("pytest, on a virtual display")  # which pytest-xvfb opens and closes
    code = run(tests, environment)
    if failed:
        say(f"failed before pytest: {', '.join(failed)}")
    return 1 if failed and code in (0, NO_TESTS) else code


def lint(arguments: list[str]) -> int:
    """Run the linters alone."""
    no_arguments("lint", arguments)
    return int(bool(failures(LINTERS, make_environment("all", "test"))))


def docs(arguments: list[str]) -> int:
    """Build the documentation, or run another command of mkdocs."""
    environment = make_environment("docs")
    return run(["mkdocs", *(arguments or ["build", "--strict"])], environment)


def system(arguments: list[str]) -> int:
    """Install the system libraries, or name the line that does."""
    no_arguments("system", arguments)
    install_system_packages(required=True)
    say("the system libraries are there")
    return 0


def failures(checks: dict[str, list[str]], environment: dict[str, str]) -> list[str]:
    """Run each check; return the names of those that failed."""
    failed = []
    for name, command in checks.items():
        say(name)
        if run(command, environment) != 0:
            failed.append(name)
    return failed


# ---- the Python environment


def make_environment(*extras: str) -> dict[str, str]:
    """Make ``.venv`` hold the package with these extras; return the variables to run its programs with."""
    environment = {
        **os.environ,
        "VIRTUAL_ENV": str(VENV),
        "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)]),
    }
    # A URI, because pip splits this variable at spaces.
    environment.setdefault("PIP_CONSTRAINT", CONSTRAINTS.as_uri())
    wanted = {"hash": fingerprint(), "extras": sorted(extras)}
    if not is_installed(wanted):
        make_venv(environment)
        install(wanted, environment)
    return environment


def fingerprint() -> str:
    """Sum up what decides which packages belong into the environment."""
    parts = [(ROOT / "pyproject.toml").read_bytes(), CONSTRAINTS.read_bytes(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def is_installed(wanted: dict) -> bool:
    """Tell whether the last installation was of the same packages, or more."""
    try:
        found = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return False
    return found["hash"] == wanted["hash"] and set(wanted["extras"]) <= set(found["extras"])


def make_venv(environment: dict[str, str]) -> None:
    """Make ``.venv`` with a pip of its own, also where Python lacks ensurepip, as Debian's does."""
    if not PYTHON.exists():
        say(f"making the environment {VENV}")
        must([sys.executable, "-m", "venv", "--without-pip", str(VENV)], environment)
    if subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return
    if importlib.util.find_spec("ensurepip"):
        must([str(PYTHON), "-m", "ensurepip", "--default-pip"], environment, quiet=True)
    elif importlib.util.find_spec("pip"):
        must([sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "pip"], environment)
    else:
        stop(f"{sys.executable} has no pip. On Debian and Ubuntu: sudo apt-get install -y python3-pip")


def install(wanted: dict, environment: dict[str, str]) -> None:
    """Install the package in place, and note that it was done."""
    extras = ",".join(wanted["extras"])
    say(f"installing napari-dtn[{extras}] with its dependencies; the first time this takes some minutes")
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    command = [str(PYTHON), "-m", "pip", "install", *quiet, "--disable-pip-version-check"]
    must([*command, "-c", str(CONSTRAINTS), "-e", f"{ROOT}[{extras}]"], environment)
    STAMP.write_text(json.dumps(wanted))


# ---- the system


def install_system_packages(*, required: bool) -> None:
    """Install the system libraries that are missing, or name the line that does; stop there if required."""
    missing = missing_packages()
    if not missing:
        return
    update = ["apt-get", "update", "-qq"]
    fetch = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    if os.geteuid() == 0:
        say(f"installing system libraries: {' '.join(missing)}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        if run(update, environment) == 0 and run(fetch, environment) == 0:
            return
    line = f"sudo {shlex.join(update)} && sudo {shlex.join(fetch)}"
    if required:
        stop(f"windows need system libraries that are missing. Install them, then try again:\n\n    {line}\n")
    say(f"windows would need system libraries that are missing (this run does not):\n\n    {line}\n")


def missing_packages() -> list[str]:
    """Name the system packages that are not installed; none where the system is not Debian's kind."""
    if not (shutil.which("dpkg-query") and shutil.which("apt-get")):
        return []
    # Newer releases renamed some (libglib2.0-0t64) and let them provide the old name.
    table = "${db:Status-Status}\t${Package}, ${Provides}\n"
    answer = subprocess.run(["dpkg-query", "-W", "-f", table], capture_output=True, text=True, check=True)
    rows = [row.split("\t") for row in answer.stdout.splitlines()]
    names = (name for status, row in rows if status == "installed" for name in row.split(","))
    present = {name.split("(")[0].strip() for name in names}
    return [package for package in SYSTEM_PACKAGES if package not in present]


def has_display() -> bool:
    """Tell whether a window can be shown."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


# ---- small help


def run(command: list[str], environment: dict[str, str]) -> int:
    """Run a program of the environment in the project's folder; return its exit code."""
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        stop(f"there is no program {command[0]}. Delete {VENV} and try again.")
    process = subprocess.Popen([program, *command[1:]], cwd=ROOT, env=environment)
    while True:
        # Ctrl-C reaches the program as well, which may have something to save: wait for it.
        with contextlib.suppress(KeyboardInterrupt):
            return process.wait()


@contextlib.contextmanager
def beside(name: str, command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """Run a program of the environment beside what follows; print its output at the end, or when stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryFile() as output:
        command = [str(BIN / command[0]), *command[1:]]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            yield process
            process.wait()
        finally:
            process.terminate()
            say(name)
            output.seek(0)
            shutil.copyfileobj(output, sys.stdout.buffer)
            sys.stdout.flush()


def must(command: list[str], environment: dict[str, str], *, quiet: bool = False) -> None:
    """Run a program that has to succeed."""
    output = subprocess.DEVNULL if quiet else None
    code = subprocess.run(command, cwd=ROOT, env=environment, stdout=output).returncode
    if code != 0:
        stop(f"this failed with exit code {code}: {shlex.join(command)}")


def no_arguments(name: str, arguments: list[str]) -> None:
    """Refuse arguments that nothing would read."""
    if arguments:
        stop(f"{name} takes no arguments, but got: {shlex.join(arguments)}", code=2)


def say(text: str) -> None:
    """Print one line of this program's own."""
    print(f"[dev] {text}", flush=True)


def stop(text: str, code: int = 1) -> None:
    """End with a message."""
    print(f"[dev] {text}", file=sys.stderr, flush=True)
    raise SystemExit(code)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036
        stop(f"napari-dtn needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    sys.exit(main())
