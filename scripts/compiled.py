"""Build the wheel with the hot path compiled, unpack it into .ringonce/compiled, and run Python on it.

    python scripts/compiled.py                          build it; nothing, if it is still good
    python scripts/compiled.py -m tests.chaos --short   build it, and run any program of ours with it
    python scripts/compiled.py -m pytest tests/properties

A C compiler is needed, and what requirements-build.lock names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / ".ringonce" / "compiled"
PACKAGES = ("schemas", "connectors", "streams")
OTHERS = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
BUILD_SECONDS_MAX = 1200


def digest() -> str:
    """What the wheel is made of: every file, and the Python that makes it."""
    said = hashlib.sha256(sys.version.encode())
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()):
        if "__pycache__" not in path.parts:
            said.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    for name in OTHERS:
        said.update((ROOT / name).read_bytes())
    return said.hexdigest()


def build() -> Path:
    """Return where the compiled packages are. Raises CalledProcessError when they cannot be built; pip says why."""
    stamp, wanted = TARGET / "built-from", digest()
    if stamp.exists() and stamp.read_text() == wanted:
        return TARGET
    with tempfile.TemporaryDirectory(prefix="ringonce-build-") as directory:
        # A copy: setuptools and mypyc leave what they make beside the sources, where an import would find it.
        source, wheels, fresh = (Path(directory, name) for name in ("source", "wheels", "fresh"))
        for package in PACKAGES:
            shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        for name in OTHERS:
            shutil.copy2(ROOT / name, source)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        environment = {**os.environ, "RINGONCE_COMPILED": "1"}
        command = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), str(source)]
        subprocess.run(command, check=True, env=environment, timeout=BUILD_SECONDS_MAX)
        (wheel,) = wheels.glob("*.whl")
        command = [*pip, "install", "--no-deps", "--target", str(fresh), str(wheel)]
        subprocess.run(command, check=True, timeout=BUILD_SECONDS_MAX)
        (fresh / "built-from").write_text(wanted)
        shutil.rmtree(TARGET, ignore_errors=True)
        TARGET.parent.mkdir(exist_ok=True)
        shutil.move(fresh, TARGET)
    return TARGET


def environment() -> dict[str, str]:
    """What a process needs to import the compiled packages, and the tests of this checkout."""
    # Without PYTHONSAFEPATH `python -m` puts the current directory, and with it the sources, before all others.
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": f"{TARGET}{os.pathsep}{ROOT}"}


def main() -> None:
    """Build, and become the program that is asked for."""
    print(build(), file=sys.stderr)
    arguments = sys.argv[1:]
    if not arguments:
        return
    if arguments[:2] == ["-m", "pytest"]:  # which would put the sources first, by our own settings
        arguments[2:2] = ["--override-ini=pythonpath=", "--import-mode=append"]
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **environment()})


if __name__ == "__main__":
    main()
