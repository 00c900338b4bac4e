"""The rules that the code keeps: import directions, purity, names, reasons, and documents that are true."""

from __future__ import annotations

import ast
import io
import re
import runpy
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("schemas", "connectors", "streams")
SOURCES = sorted(path for folder in (*OURS, "tests", "scripts") for path in (ROOT / folder).rglob("*.py"))

# `module.name` or a method that reads a clock or rolls dice, wherever it comes from.
BANNED_MODULES = {"time", "random", "secrets", "asyncio", "os", "socket", "subprocess", "threading", "logging"}
BANNED_METHODS = {"now", "utcnow", "today", "uuid1", "uuid4", "urandom", "token_bytes", "token_hex"}


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_imports_go_one_way() -> None:
    """The contracts of import-linter in pyproject.toml hold."""
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_nobody_else_provides_our_packages() -> None:
    """Other projects have packages of our names; installed beside ours they would replace it in part."""
    distributions = packages_distributions()
    strangers = {name: set(distributions.get(name, [])) - {"ringonce"} for name in OURS}
    assert strangers == {name: set() for name in OURS}


def test_our_packages_are_the_ones_of_this_checkout() -> None:
    """What is tested is what lies here."""
    for name in OURS:
        module = __import__(name)
        assert Path(module.__path__[0]) == ROOT / name


def _impure(source: str) -> Iterator[str]:
    """What in a policy reads a clock, rolls dice or touches the world."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "").split(".")[0]]
        elif isinstance(node, ast.Attribute) and node.attr in BANNED_METHODS:
            yield f"line {node.lineno}: .{node.attr}"
            continue
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("open", "print"):
            yield f"line {node.lineno}: {node.func.id}()"
            continue
        else:
            continue
        yield from (f"line {node.lineno}: import {name}" for name in names if name in BANNED_MODULES)


@pytest.mark.parametrize("path", sorted((ROOT / "streams" / "policies").rglob("*.py")), ids=_relative)
def test_policies_are_pure(path: Path) -> None:
    """What decides gets time, chance and settings as arguments."""
    assert list(_impure(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    ["import time", "from random import random", "datetime.now()", "uuid.uuid4()", "open('x')", "import os.path"],
)
def test_the_check_for_purity_can_fail(source: str) -> None:
    """Each way of reading a clock, chance or the world is found."""
    assert list(_impure(source))


def _unreasoned(source: str) -> Iterator[str]:
    """Ignored lints and types without a code, or without a reason behind it."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        marker = re.search(r"#\s*(noqa|type:\s*ignore|pragma:\s*no cover|nosec)\b(.*)", token.string)
        if marker is None:
            continue
        rest = re.sub(r"^(:\s*[A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*|\[[a-z-]+(,\s*[a-z-]+)*\])", "", marker[2])
        if rest == marker[2] or len(re.findall(r"\w+", rest)) < 2:
            yield f"line {token.start[0]}: {token.string}"


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_each_ignored_lint_has_its_reason(path: Path) -> None:
    """`# noqa: CODE (why)` and `# type: ignore[code] # why`, never without a why."""
    assert list(_unreasoned(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "comment", ["noqa", "noqa: E501", "type: ignore", "type: ignore[misc]", "type: ignore # why so"]
)
def test_the_check_for_reasons_can_fail(comment: str) -> None:
    """A marker without a code or without a reason is found."""
    assert list(_unreasoned(f"x = 1  # {comment}\n"))
    assert not list(_unreasoned("x = 1  # type: ignore[misc] # aiokafka is untyped\n"))


VAGUE = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc", "handler", "handlers"}


@pytest.mark.parametrize("path", SOURCES, ids=_relative)
def test_files_say_what_they_hold(path: Path) -> None:
    """No file is called after nothing in particular, and each one that holds code starts with a sentence."""
    assert not VAGUE & set(path.stem.split("_"))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not tree.body or ast.get_docstring(tree), f"{_relative(path)} has no docstring"


DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def _named_paths(text: str) -> Iterator[str]:
    """What a document names as a path of this repository, in backticks or as the target of a link."""
    top = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name not in (".venv", ".git")}
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    names = re.findall(r"`([^`\s]+)`", text) + re.findall(r"\]\(([^)#\s]+)", text)
    for name in names:
        first = name.split("/")[0]
        if (first in top and "/" in name) or re.fullmatch(r"[\w.-]+\.(md|toml|yml|lock)", name):
            yield name


@pytest.mark.parametrize("document", DOCUMENTS, ids=_relative)
def test_documents_name_paths_that_exist(document: Path) -> None:
    """A path in a document is there; `*` may stand for names."""
    missing = [
        name for name in _named_paths(document.read_text(encoding="utf-8")) if not _exists(name, document.parent)
    ]
    assert missing == []


def _exists(name: str, folder: Path) -> bool:
    name = name.rstrip("/").removesuffix("…")
    return any(next(base.glob(name), None) is not None for base in (ROOT, folder))


def test_the_configuration_page_is_fresh() -> None:
    """docs/configuration.md is what `make docs` would write."""
    page = runpy.run_path(str(ROOT / "scripts" / "write_configuration.py"))["page"]
    written = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert written == page(), "run `make docs`"


def test_the_page_on_metrics_is_fresh() -> None:
    """docs/metrics.md is what `make docs` would write."""
    page = runpy.run_path(str(ROOT / "scripts" / "write_metrics.py"))["page"]
    assert (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8") == page(), "run `make docs`"


def test_the_capacity_page_has_the_measured_costs() -> None:
    """The tables of docs/capacity.md are those that `make docs` works out from the results."""
    page = runpy.run_path(str(ROOT / "scripts" / "write_capacity.py"))["page"]
    written = (ROOT / "docs" / "capacity.md").read_text(encoding="utf-8")
    assert written == page(written), "run `make docs`"


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-build.lock", "requirements-dev.lock"])
def test_locks_hold_every_dependency_with_hashes_and_no_address(name: str) -> None:
    """Each direct dependency is locked, each locked version has a hash, and no server is named."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    blocks = re.findall(r"^([\w.-]+)==.*((?:\n .*)*)", text, flags=re.MULTILINE)
    assert all("--hash=sha256:" in block for _, block in blocks)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = list(project["dependencies"])
    if name == "requirements-build.lock":
        wanted += project["optional-dependencies"]["compile"]
    if name == "requirements-dev.lock":
        wanted += project["optional-dependencies"]["dev"] + project["optional-dependencies"]["otel"]
    locked = {package for package, _ in blocks}
    assert {re.split(r"[\[<>=;]", requirement)[0].strip() for requirement in wanted} <= locked, "run `make lock`"
