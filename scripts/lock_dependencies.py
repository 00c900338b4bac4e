"""Write the three locks: one version with hashes for each dependency, for 3.11 to 3.13."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKS = {
    "requirements.lock": ("build",),
    "requirements-build.lock": ("build", "compile"),  # what the wheel with the compiled hot path is built with
    "requirements-dev.lock": ("build", "otel", "dev"),
}


def main() -> None:
    for target, extras in LOCKS.items():
        command = [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--python-version", "3.11"]
        command += ["--generate-hashes", "--no-header", "--no-emit-index-url", "--no-emit-find-links", "--quiet"]
        command += [option for extra in extras for option in ("--extra", extra)]
        command += ["--output-file", target, "pyproject.toml"]
        subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
