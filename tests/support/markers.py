"""Which marker a test has: by what its own words, its fixtures and the helpers of both reach in tests/."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

SUPPORT = {path.stem: path for path in Path(__file__).parent.rglob("*.py")}
# Whoever names one of these starts a process, or loads a model in this one. A test that does so unnoticed fails.
STARTS = {"start_pilot", "subprocess", "create_subprocess_exec", "async_playwright"}
STARTS |= {"EngineClient", "EnginePool", "Engines", "LlamaCppEngine"}
BROWSER = frozenset({"async_playwright"})


def markers_of(item: pytest.Function) -> set[str]:
    """``unit`` or ``e2e``, and ``browser`` and ``vllm`` where they hold; some tests say it themselves."""
    words = words_reached(item.path, [item.originalname, *item.fixturenames])
    found = {"e2e" if words & STARTS or item.get_closest_marker("e2e") else "unit"}
    if words & BROWSER:
        found.add("browser")
    own = _definitions(item.path).get(item.originalname, frozenset())
    if engine_of(item) == "vllm" or own >= {"engines", "vllm"}:
        found.add("vllm")
    return found


def engine_of(item: pytest.Function) -> object:
    """What the fixture ``engine`` is given for this test."""
    called = getattr(item, "callspec", None)
    return called and called.params.get("engine")


class Place(NamedTuple):
    """A name at the top of a file."""

    file: Path
    name: str


def words_reached(file: Path, names: Iterable[str]) -> frozenset[str]:
    """Every word in the definitions of ``names``, and in what these name in the same file or in tests/support."""
    seen: set[Place] = set()
    todo = [Place(file, name) for name in names]
    while todo:
        place = todo.pop()
        if place not in seen:
            seen.add(place)
            todo += [_defined(place.file, word) for word in _definitions(place.file).get(place.name, ())]
    return frozenset(place.name for place in seen)


def _defined(file: Path, word: str) -> Place:
    home = _imported(file).get(word)
    return Place(home or file, word)


@cache
def _definitions(file: Path) -> dict[str, frozenset[str]]:
    """The words in each definition at the top of a file."""
    found: dict[str, frozenset[str]] = {}
    for node in _tree(file).body:
        for name in _names(node):
            found[name] = found.get(name, frozenset()) | frozenset(_words(node))
    return found


@cache
def _imported(file: Path) -> dict[str, Path]:
    """name → the file of tests/support that it comes from."""
    return {
        alias.asname or alias.name: home
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.ImportFrom) and (home := SUPPORT.get(node.module or ""))
        for alias in node.names
    }


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def _words(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id
        elif isinstance(part, ast.Attribute):
            yield part.attr
        elif isinstance(part, ast.arg):
            yield part.arg
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value
